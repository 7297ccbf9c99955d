"""Methods that search contrast sets: ensembles of vectors, and their control."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch

from workbench.experiments.compare.made import SHARES, Made, in_stream, sets_of
from workbench.experiments.compare.meter import margins
from workbench.experiments.compare.task import Item, Task
from workbench.methods import (
    ContrastSet,
    SearchSpace,
    ensemble,
    merged,
    principal_component,
    search,
)
from workbench.models.hooked import HookedModel
from workbench.steering import Add, SteeringVector, VectorSet

MEMBERS, TRIALS, ITEMS = 2, 8, 8  # members, trials a member, items a score


def ensembles(task: Task, layer: int, seed: int) -> list[Made]:
    """Contrast sets found by Optuna, each scored on training items of its own; their mean."""
    return [_ensemble(task, layer, seed, together=False)]


def merged_sets(task: Task, layer: int, seed: int) -> list[Made]:
    """The ensemble's control: one vector of all its contrast sets merged."""
    return [_ensemble(task, layer, seed, together=True)]


def _ensemble(task: Task, layer: int, seed: int, together: bool) -> Made:
    """Members differ in which prompts they contrast; each is scored on its own items."""
    positive, negative = sets_of(task)
    count = min(len(positive), len(negative))

    def compose(chosen: Mapping[str, Any]) -> ContrastSet:
        size = max(2, int(chosen["share"] * count))
        order = torch.randperm(
            count, generator=torch.Generator().manual_seed(chosen["draw"])
        ).tolist()[:size]
        return ContrastSet(tuple(positive[i] for i in order), tuple(negative[i] for i in order))

    def make(*given: Any) -> VectorSet:
        vectors = principal_component(*given[:3], layers=given[3])
        return VectorSet(in_stream(task, vector, SHARES[2]) for vector in vectors)

    # At one length, so that the choice is of contrasts and not of the longest vector.
    space = SearchSpace({"share": (0.25, 0.5, 1.0), "draw": (0, 1, 2, 3)}, [layer], (1.0, 1.0))
    members = []
    for i in range(MEMBERS):
        items = task.train[i : MEMBERS * ITEMS : MEMBERS]
        score = partial(_score, task.model, items)
        members.append(
            search(
                task.model,
                compose,
                space,
                score,
                trials=TRIALS,
                startup=4,
                seed=seed + i,
                make=make,
            )
        )
    made = merged(task.model, members, make) if together else ensemble(members)
    assert isinstance(made.vector, SteeringVector)
    data = 2 * count + 2 * MEMBERS * ITEMS
    return Made(made.vector, data, note=f"{MEMBERS} members, {TRIALS} trials each")


def _score(model: HookedModel, items: Sequence[Item], steering: Add) -> float:
    return sum(margins(model, items, steering))
