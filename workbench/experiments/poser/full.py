"""Flips as the behaviour that `--full` asks about."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from workbench.experiments.full import FullSettings, FullTask
from workbench.experiments.poser.asking import Asking
from workbench.experiments.poser.program import RATES
from workbench.experiments.poser.scenarios import Scenarios
from workbench.experiments.poser.settings import PoserSettings


def full_poser(
    scenarios: Scenarios,
    settings: PoserSettings,
    full: FullSettings,
    harmless: Sequence[str],
    progress: bool = True,
) -> FullTask:
    """Decisions on unseen scenarios, right both ways: flipped where they should, else kept."""
    asking = Asking(scenarios, settings, progress)
    unseen = scenarios.test.iloc[: full.prompts]
    return FullTask(
        model=scenarios.model,
        draw=asking.items,
        job=asking.job(settings.layer, settings.norm),
        outcomes=lambda vectors: right_both_ways(asking.decisions(vectors, unseen)),
        unsteered=None,  # every decision should flip one way
        harmless=harmless,
        wanted="decisions, right unsteered, that flip one way and stay the other, as they should",
    )


def right_both_ways(decisions: pd.DataFrame) -> pd.DataFrame:
    """One row a vector and prompt that is decided rightly unsteered: vector, prompt, wanted.

    Raises ValueError where there are fewer than two.
    """
    decisions = decisions[decisions["right"]]
    if decisions["prompt"].nunique() < 2:
        raise ValueError("the model decides fewer than two of the scenarios rightly unsteered")
    should = [
        RATES[way, group] for way, group in zip(decisions["way"], decisions["group"], strict=True)
    ]
    good = decisions.assign(wanted=decisions["flipped"] == should)
    return good.groupby(["vector", "prompt"], sort=False)["wanted"].all().reset_index()
