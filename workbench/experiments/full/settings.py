"""What an experiment is asked in full about, and everything that could be done otherwise."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from workbench.methods import Example
from workbench.models.hooked import HookedModel
from workbench.steering import Add, SteeringVector
from workbench.steering.interventions import Steering


@dataclass(frozen=True)
class FullSettings:
    """TOML files beside have the values.

    Variance: `examples` training items, `seeds` vectors of each. Learning curve: vectors of each of
    `sizes` items at once, `draws` draws of items a size. Sharpness: the rise of the loss when
    noise of `radius` times the vector's norm is added, the mean of `noises` draws. `random` are the
    random vectors beside them.
    """

    examples: int
    seeds: int
    sizes: Sequence[int]
    draws: int
    prompts: int
    harmless: int
    radius: float = 0.3
    noises: int = 4
    random: int = 4
    seed: int = 0

    def __post_init__(self) -> None:
        twice = ("examples", "seeds", "draws", "prompts")  # else nothing could vary
        for name in (*twice, "harmless", "noises", "random"):
            fewest = 2 if name in twice else 1
            if getattr(self, name) < fewest:
                raise ValueError(f"{name} must be at least {fewest}, got {getattr(self, name)}")
        if not self.sizes or min(self.sizes) < 1 or len(set(self.sizes)) < len(self.sizes):
            raise ValueError(f"sizes are numbers of items, none twice; got {list(self.sizes)}")


@dataclass(frozen=True)
class FullTask:
    """A behaviour on which many one-shot vectors are compared.

    Attributes:
        model: the model that is steered.
        draw: training items, each the examples that are trained on together; as many as asked for,
            always the same ones first.
        job: settings of `OneShotJob`; "layer" among them, "start_norm" where the start is random.
        outcomes: a row a vector and unseen prompt: vector (its label), prompt, wanted (whether the
            behaviour was what the vector was made for).
        unsteered: the same without a vector: prompt, wanted. None where nothing is as wanted then,
            by what is asked.
        harmless: questions on which a vector should change nothing.
        wanted: what `wanted` means, in words.
        apply: how a vector acts in `outcomes`.
    """

    model: HookedModel
    draw: Callable[[int], Sequence[Sequence[Example]]]
    job: Mapping[str, Any]
    outcomes: Callable[[Sequence[SteeringVector]], pd.DataFrame]
    unsteered: Callable[[], pd.DataFrame] | None
    harmless: Sequence[str]
    wanted: str
    apply: Callable[[SteeringVector], Steering] = Add
