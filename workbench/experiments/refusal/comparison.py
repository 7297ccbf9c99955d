"""Vectors from one example each beside the refusal direction: what the paper did not compare.

A program: the vectors of the refusal experiment, the best of them chosen on validation requests;
the refusal direction selected on training and validation requests; both, and their neighbours,
measured on requests that none was made or chosen on.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import pandas as pd

from workbench.analysis import (
    RefusalComparison,
    RefusalDirection,
    RefusalOutcomes,
    compare_refusal,
    refusal_metric,
    select_refusal_direction,
)
from workbench.experiments.refusal.asking import Asking, Requests
from workbench.experiments.refusal.program import best_of, one_shot_vectors
from workbench.experiments.refusal.settings import ComparisonSettings
from workbench.runs import RunFolder
from workbench.steering import SteeringVector


@dataclass(frozen=True)
class ComparisonResult:
    """The comparison, and what the direction and the best vector were chosen from.

    `candidates` as in `RefusalDirection`; `validation` as in `RefusalResult`.
    """

    settings: ComparisonSettings
    direction: SteeringVector
    candidates: pd.DataFrame
    validation: pd.DataFrame
    comparison: RefusalComparison


def run_comparison(
    requests: Requests, settings: ComparisonSettings, folder: RunFolder, progress: bool = True
) -> ComparisonResult:
    """Make and choose the vectors, then compare; vectors, choices and measures are kept."""
    one_shot = settings.one_shot
    asking = Asking(requests, one_shot, progress)
    vectors = folder.vectors(
        "one-shot",
        lambda: one_shot_vectors(asking, [(one_shot.layer, one_shot.norm)], settings.requests),
    )
    harmful = _texts(requests.validation)[0]
    chosen_on = harmful[: one_shot.validation_requests]
    validation = folder.table("validation", lambda: asking.attacks(vectors, chosen_on, way="add"))

    @cache
    def selected() -> RefusalDirection:
        return _direction(requests, settings, progress)

    (direction,) = folder.vectors("direction", lambda: [selected().vector])
    candidates = folder.table("candidates", lambda: selected().candidates)
    outcomes = RefusalOutcomes.of(
        requests.model,
        requests.parent,
        list(requests.harmful)[: one_shot.test_requests],
        _texts(requests.test)[1][: settings.harmless],
        requests.prompt,
        answer_tokens=one_shot.answer_tokens,
        harmless_tokens=one_shot.answer_tokens // 2,
        progress=progress,
    )
    train = [some[: settings.mean_requests] for some in _texts(requests.train)]
    compared = compare_refusal(
        outcomes,
        list(vectors),
        best_of(validation),
        direction,
        *train,
        random=settings.random,
        seed=one_shot.seed,
        keep=folder.table,
        progress=progress,
    )
    return ComparisonResult(settings, direction, candidates, validation, compared)


def _direction(
    requests: Requests, settings: ComparisonSettings, progress: bool
) -> RefusalDirection:
    """Means from training requests; the metric and the scores from two halves of validation."""
    (harmful, harmless), (refused, answered) = (
        [[requests.prompt(each) for each in some] for some in _texts(part)]
        for part in (requests.train, requests.validation)
    )
    n, means = settings.direction_requests, settings.mean_requests
    metric = refusal_metric(requests.model, refused[:n], answered[:n])
    return select_refusal_direction(
        requests.model,
        harmful[:means],
        harmless[:means],
        metric,
        refused[n : 2 * n],
        answered[n : 2 * n],
        tokens=settings.tokens,
        layers=settings.layers,
        largest_kl=settings.largest_kl,
        progress=progress,
    )


def _texts(part: pd.DataFrame) -> tuple[list[str], list[str]]:
    """The harmful requests of a part, and the harmless ones."""
    harmful = part["harmful"].astype(bool)
    return list(part[harmful]["request"]), list(part[~harmful]["request"])
