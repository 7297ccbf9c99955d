"""Retraction as the behaviour that `--full` asks about."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from workbench.experiments.fictitious.claims import Claims
from workbench.experiments.fictitious.methods import Making
from workbench.experiments.fictitious.program import Asked, false_claims
from workbench.experiments.fictitious.settings import FictitiousSettings
from workbench.experiments.full import FullSettings, FullTask
from workbench.methods import Example
from workbench.steering import SteeringVector

METHOD = "suppression"


def full_fictitious(
    claims: Claims,
    settings: FictitiousSettings,
    full: FullSettings,
    harmless: Sequence[str],
    progress: bool = True,
) -> FullTask:
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

    return FullTask(
        model=claims.model,
        draw=draw,
        job={**making.job(), "layer": settings.measured_layers[METHOD], "least_change": 1e-6},
        outcomes=outcomes,
        harmless=harmless,
        wanted="false claims that are not taken back, in answers that name an occupation",
    )
