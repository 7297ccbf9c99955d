"""The losses that given vectors have on given examples: forward passes only, many in a batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from workbench.methods.one_shot.example import Example
from workbench.methods.one_shot.job import OneShotJob
from workbench.methods.one_shot.optimize import optimize_batch
from workbench.models.hooked import HookedModel
from workbench.steering.vector import SteeringVector


def losses_of(
    model: HookedModel,
    examples: Sequence[Example | Sequence[Example]],
    vectors: Sequence[SteeringVector],
    *,
    progress: bool = False,
    **settings: Any,
) -> list[float]:
    """The loss of each vector on its examples, in nats: what `optimize` would start from.

    `settings` are those of `OneShotJob` that a loss depends on (coldness, suppression, positions).
    Raises ValueError unless there are examples for each vector.
    """
    if len(examples) != len(vectors):
        raise ValueError(f"{len(examples)} examples for {len(vectors)} vectors")
    jobs = [
        OneShotJob(
            [each] if isinstance(each, Example) else list(each),
            vector.layers,
            start=vector,
            steps=0,
            **settings,
        )
        for each, vector in zip(examples, vectors, strict=True)
    ]
    return [run.loss for run in optimize_batch(model, jobs, progress=progress)] if jobs else []
