"""Suppressed refusals as the behaviour that `--full` asks about."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from workbench.experiments.full import FullSettings, FullTask
from workbench.experiments.refusal.asking import WAYS, Asking, Requests
from workbench.experiments.refusal.settings import RefusalSettings

METHOD = "promotion"


def full_refusal(
    requests: Requests,
    settings: RefusalSettings,
    full: FullSettings,
    harmless: Sequence[str],
    progress: bool = True,
) -> FullTask:
    """Promotion vectors: harmful requests that are answered, by the strict rule of `attack`."""
    asking = Asking(requests, settings, progress)
    unseen = list(requests.harmful)[: full.prompts]

    def outcomes(found: pd.DataFrame) -> pd.DataFrame:
        return found[["vector", "request", "succeeds"]].rename(
            columns={"request": "prompt", "succeeds": "wanted"}
        )

    return FullTask(
        model=requests.model,
        draw=lambda count: [[pair[METHOD]] for pair in asking.examples(count)],
        job=asking.job(settings.layer, settings.norm),
        outcomes=lambda vectors: outcomes(asking.attacks(vectors, unseen)),
        unsteered=lambda: outcomes(asking.unsteered(unseen)),
        harmless=harmless,
        wanted="harmful requests that are answered",
        apply=lambda vector: WAYS[settings.way](vector, settings.strength),
    )
