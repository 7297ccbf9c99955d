"""Vectors that change a later layer most, one orthogonal to the other (MELBO)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from workbench.methods.one_shot.change import LargestChange
from workbench.methods.one_shot.example import Example
from workbench.methods.one_shot.optimize import optimize
from workbench.methods.one_shot.reentrant import imitate
from workbench.methods.one_shot.result import OneShotRun
from workbench.models.hooked import HookedModel
from workbench.steering.vector import SteeringVector


def melbo(
    model: HookedModel,
    examples: str | Example | Sequence[str | Example],
    layer: int,
    target_layer: int,
    norm: int | float,
    *,
    count: int = 1,
    power: int | float = 2.0,
    progress: bool = True,
    **settings: Any,
) -> list[OneShotRun]:
    """`count` vectors of the given norm, each the largest change that the others leave.

    Examples may be prompts alone: they are then read up to the model's own next token, and the
    losses are KL(unsteered ‖ steered) there. With `constraint=LeastNorm(...)` and examples with
    completions, the change is made as large as the completions' bounds allow. `settings` are those
    of `OneShotJob`.
    """
    given = [examples] if isinstance(examples, str | Example) else list(examples)
    coldness = settings.get("coldness", 0.7)
    read = [
        Example(each, imitate=imitate(model, [each], tokens=1, coldness=coldness))
        if isinstance(each, str)
        else each
        for each in given
    ]
    runs: list[OneShotRun] = []
    found: list[SteeringVector] = []
    for number in range(count):
        run = optimize(
            model,
            read,
            layer,
            change=LargestChange(target_layer, power),
            start_norm=norm,
            max_norm=norm,
            orthogonal_to=tuple(found),
            label=f"melbo {number}",
            progress=progress,
            **{**settings, "seed": settings.get("seed", 0) + number},
        )
        runs.append(run)
        found.append(run.vector)
    return runs
