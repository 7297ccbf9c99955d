"""Retraction as the behaviour that `--full` asks about."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from workbench.experiments.fictitious.claims import Claims
from workbench.experiments.fictitious.methods import Making, rows_of, trainable
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
    making = Making(claims, settings, progress)
    asked = Asked(claims, settings, progress)
    unseen = false_claims(claims.test, full.prompts)

    def draw(count: int) -> list[list[Example]]:
        return [[making.retraction(row)] for row in rows_of(trainable(making.candidates(), count))]

    def wanted(vectors: Sequence[SteeringVector]) -> pd.DataFrame:
        return counted(asked(vectors, METHOD, unseen, judged=False))

    def counted(found: pd.DataFrame) -> pd.DataFrame:
        return found.rename(columns={"person": "prompt", "stays": "wanted"})[
            ["vector", "prompt", "wanted"]
        ]

    return FullTask(
        model=claims.model,
        draw=draw,
        job={
            **making.settings_of_jobs(),
            "layer": settings.measured_layers[METHOD],
            "least_change": 1e-6,
        },
        outcomes=wanted,
        unsteered=lambda: counted(asked.unsteered("unsteered", unseen, judged=False)),
        harmless=harmless,
        wanted="false claims that are gone on with: an occupation, no retraction, no loop",
    )
