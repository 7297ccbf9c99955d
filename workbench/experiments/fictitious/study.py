"""Retraction as a behaviour to study one-shot vectors on."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from workbench.experiments.fictitious.claims import Claims
from workbench.experiments.fictitious.methods import Making
from workbench.experiments.fictitious.program import Asked, false_claims
from workbench.experiments.fictitious.settings import FictitiousSettings
from workbench.experiments.study import Study, StudySettings
from workbench.methods import Example
from workbench.steering import SteeringVector

METHOD = "suppression"


def fictitious_study(
    claims: Claims,
    settings: FictitiousSettings,
    full: StudySettings,
    harmless: Sequence[str],
    progress: bool = True,
) -> Study:
    """Suppression vectors: false claims on unseen people that are gone on with, not taken back."""
    making = Making(claims, settings)
    asked = Asked(claims, settings, progress)
    unseen = false_claims(claims.test, full.prompts)

    def draw(count: int) -> list[list[Example]]:
        return [[making.retraction(row)] for _, row in making.train().iloc[:count].iterrows()]

    def outcomes(vectors: Sequence[SteeringVector]) -> pd.DataFrame:
        answers = asked(vectors, METHOD, unseen)
        return pd.DataFrame(
            {
                "vector": answers["vector"],
                "prompt": answers["person"],
                "wanted": answers["names"] & ~answers["retracts"],
            }
        )

    return Study(
        model=claims.model,
        draw=draw,
        job={**making.job(), "layer": settings.measured_layers[METHOD], "least_change": 1e-6},
        outcomes=outcomes,
        harmless=harmless,
        wanted="false claims that are not taken back, in answers that name an occupation",
    )
