"""Output-constrained steering: the vector of least norm that keeps every completion's loss.

    minimize ‖v‖ (+ ‖M‖_F)   subject to   L_i(v) ≤ b_i   for every completion i

by the augmented Lagrangian (Hestenes 1969; Rockafellar 1973), whose multipliers move at every step
as in the modified differential multiplier method (Platt & Barr 1987) that the published code uses:

    f(v) + Σ_i ( max(0, λ_i + ρ (L_i - b_i))² - λ_i² ) / 2ρ,      λ_i ← max(0, λ_i + ρ (L_i - b_i))

A first stage trains as ever until the bounds hold; then the bounds are the targets, or where there
are none the losses that the first stage reached, plus `slack`. With `LargestChange` in place of the
norm it is MELBO under completion bounds. What is returned satisfies the bounds, if anything did:
among the iterates that do, the one of least norm (reference, "by reading only": the published code
returns the previous vector with the current matrix and checks neither again).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class LeastNorm:
    """`steps` of the second stage; `slack` in nats on the losses reached; penalty weight `rho`.

    A bound counts as kept where it is broken by no more than `tolerance` nats.
    """

    steps: int = 100
    slack: int | float = 0.05
    rho: int | float = 1.0
    tolerance: int | float = 0.01
    learning_rate: int | float | None = None

    def __post_init__(self) -> None:
        numbers = (self.rho, 1.0 if self.learning_rate is None else self.learning_rate)
        if self.steps < 1 or self.slack < 0 or not all(math.isfinite(n) and n > 0 for n in numbers):
            raise ValueError(
                "a constraint needs at least 1 step, a slack of 0 or more, and a positive rho and "
                f"learning rate; got {self}"
            )


@dataclass
class Multipliers:
    """The bounds of one descent, and what it costs to break them."""

    bounds: Float[Tensor, " completion"]
    rho: float
    values: Float[Tensor, " completion"] = field(init=False)

    def __post_init__(self) -> None:
        self.values = torch.zeros_like(self.bounds)

    def penalty(self, losses: Float[Tensor, " completion"]) -> Float[Tensor, ""]:
        """The augmented Lagrangian's second term, differentiable."""
        values, bounds = self.values.to(losses), self.bounds.to(losses)
        held = (values + self.rho * (losses - bounds)).clamp(min=0.0)
        return (held.square() - values.square()).sum() / (2 * self.rho)

    def update(self, losses: Float[Tensor, " completion"]) -> None:
        """Move the multipliers by how far each bound is broken."""
        self.values = (self.values + self.rho * (losses.to(self.bounds) - self.bounds)).clamp(min=0)

    def violation(self, losses: Sequence[float]) -> float:
        """By how many nats the worst bound is broken."""
        gaps = [loss - bound for loss, bound in zip(losses, self.bounds.tolist(), strict=True)]
        return max(0.0, *gaps)
