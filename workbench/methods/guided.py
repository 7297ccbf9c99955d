"""InferAligner: an aligned sibling's vectors steer a model, where the model's own say it is needed.

Wang et al. 2024 (arXiv 2401.11206). At each layer the target model's safety vector (the mean
difference between harmful and harmless prompts at their last token) opens a gate; behind it the
same difference of an aligned model of the same family is added:

    x_l <- x_l + scale · g_l · θ_l,    g_l = 1 where the last prompt token lies beyond the threshold

The threshold is set here so that it tells the training prompts apart best, on the unsteered stream:
with several layers, a later gate reads what earlier ones have added.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from workbench.methods.gates import gates
from workbench.methods.mean_difference import mean_difference
from workbench.models.hooked import HookedModel
from workbench.steering.activations import LAST_TOKEN
from workbench.steering.gating import Condition, When
from workbench.steering.interventions import Add
from workbench.steering.positions import Positions
from workbench.steering.vector import SteeringVector


@dataclass(frozen=True, eq=False)
class Guidance:
    """At each layer a condition of the target model, and the vector of the aligned one.

    `accuracy`: how well each condition tells the prompts apart on which it was made.
    """

    conditions: tuple[Condition, ...]
    vectors: tuple[SteeringVector, ...]
    accuracy: tuple[float, ...]

    def steering(self, scale: int | float = 1.0) -> list[When]:
        """The gated additions, one a layer."""
        return [
            When(condition, Add(vector, scale))
            for condition, vector in zip(self.conditions, self.vectors, strict=True)
        ]

    def to_frame(self) -> pd.DataFrame:
        """One row a layer: layer, threshold, accuracy, norm, cosine (of the two vectors)."""
        return pd.DataFrame(
            {
                "layer": vector.layer,
                "threshold": float(condition.threshold),
                "accuracy": accuracy,
                "norm": vector.norm,
                "cosine": vector.cosine(condition.vector),
            }
            for condition, vector, accuracy in zip(
                self.conditions, self.vectors, self.accuracy, strict=True
            )
        )


def guidance(
    target: HookedModel,
    aligned: HookedModel,
    harmful: Sequence[str],
    harmless: Sequence[str],
    layers: Sequence[int],
    *,
    positions: Positions = LAST_TOKEN,
    progress: bool = False,
) -> Guidance:
    """Gates from `target`, vectors from `aligned`, at each of `layers`.

    Raises ValueError for models of different widths, and where there are no prompts of a kind.
    """
    if not layers or not harmful or not harmless:
        raise ValueError(
            f"{len(layers)} layers, {len(harmful)} harmful and {len(harmless)} harmless prompts: "
            "none may be 0"
        )
    own = gates(target, harmful, harmless, layers, positions=positions, progress=progress)
    theirs = mean_difference(
        aligned, harmful, harmless, layers=layers, positions=positions, progress=progress
    )
    return Guidance(
        tuple(gate.condition for gate in own),
        tuple(vector.rebind(target) for vector in theirs),
        tuple(gate.accuracy for gate in own),
    )
