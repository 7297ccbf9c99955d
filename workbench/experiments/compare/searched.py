"""Methods that search contrast sets: ensembles of vectors, and their control."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

import torch

from workbench.experiments.compare.made import SHARES, Made, sets_of
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
from workbench.methods.ensemble import Member
from workbench.models.hooked import HookedModel
from workbench.steering import Add, SteeringVector, VectorSet
from workbench.steering.activations import AFTER_FIRST, stream_norms

MEMBERS, TRIALS, ITEMS = 2, 8, 8  # members, trials a member, items a score


def ensembles(task: Task, layer: int, seed: int) -> list[Made]:
    """Contrast sets found by Optuna, each scored on training items of its own; their mean."""
    return [_ensemble(task, layer, seed, together=False)]


def merged_sets(task: Task, layer: int, seed: int) -> list[Made]:
    """The ensemble's control: one vector of all its contrast sets merged."""
    return [_ensemble(task, layer, seed, together=True)]


def _ensemble(task: Task, layer: int, seed: int, together: bool) -> Made:
    found = _searched(task, layer, seed)
    made = merged(task.model, found.members, found.make) if together else ensemble(found.members)
    assert isinstance(made.vector, SteeringVector)
    note = f"{MEMBERS} members, {TRIALS} trials each"
    if together:
        note += "; the ensemble's search, if it ran, is not in the seconds"
    return Made(made.vector, found.data, note=note)


@dataclass(frozen=True)
class _Search:
    """Members, how a vector is made of a contrast, and how many texts were used."""

    members: tuple[Member, ...]
    make: Callable[..., VectorSet]
    data: int


# Both methods of a task stand on the same search.
_SEARCHES: WeakKeyDictionary[Task, dict[tuple[int, int], _Search]] = WeakKeyDictionary()


def _searched(task: Task, layer: int, seed: int) -> _Search:
    """Found once a task."""
    known = _SEARCHES.setdefault(task, {})
    if (layer, seed) not in known:
        known[layer, seed] = _search_at(task, layer, seed)
    return known[layer, seed]


def _search_at(task: Task, layer: int, seed: int) -> _Search:
    """Members differ in which prompts they contrast; each is scored on its own items."""
    positive, negative = sets_of(task)
    count = min(len(positive), len(negative))
    norms = stream_norms(task.model, task.harmless["train"], layers=[layer], positions=AFTER_FIRST)
    make = partial(_of_norm, SHARES[2] * float(norms.double().mean()))

    def compose(chosen: Mapping[str, Any]) -> ContrastSet:
        size = max(2, int(chosen["share"] * count))
        order = torch.randperm(
            count, generator=torch.Generator().manual_seed(chosen["draw"])
        ).tolist()[:size]
        return ContrastSet(tuple(positive[i] for i in order), tuple(negative[i] for i in order))

    space = SearchSpace({"share": (0.25, 0.5, 1.0), "draw": (0, 1, 2, 3)}, [layer], (1.0, 1.0))
    made = []
    for i in range(MEMBERS):
        items = task.train[i : MEMBERS * ITEMS : MEMBERS]
        score = partial(_score, task.model, items)
        made.append(
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
    return _Search(tuple(made), make, 2 * count + 2 * MEMBERS * ITEMS)


def _of_norm(norm: float, *given: Any) -> VectorSet:
    """All at one norm, so that the choice is of contrasts and not of the longest vector."""
    model, positive, negative, layers = given
    vectors = principal_component(model, positive, negative, layers=layers)
    return VectorSet(vector.normalized(norm) for vector in vectors)


def _score(model: HookedModel, items: Sequence[Item], steering: Add) -> float:
    return sum(margins(model, items, steering))
