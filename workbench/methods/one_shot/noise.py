"""Noise on the vector while it is trained: a flatter place, it is hoped, generalizes better.

Each step minimizes the mean objective over a few draws `v + ε` (paper, section 1.4; never
evaluated there). With g the gradient of the objective at v itself:

isotropic        ε ~ N(0, scale² I)
tangent          ε less its part along g: it stays in the tangent space of the loss's level set
one-sided        only a part along -g is taken out, which would lower the loss by itself
anti-correlated  ε_t = n_t - n_{t-1}, of one Gaussian sequence n (Orvieto et al. 2202.02831)

The published code adds the projection's coefficient to every coordinate in place of subtracting
the projection (reference, defect D).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

KINDS = ("isotropic", "tangent", "one_sided", "anti_correlated")


@dataclass(frozen=True)
class Noise:
    """Gaussian draws of standard deviation `scale` a coordinate, `samples` of them a step."""

    scale: int | float
    samples: int = 1
    kind: Literal["isotropic", "tangent", "one_sided", "anti_correlated"] = "isotropic"

    def __post_init__(self) -> None:
        if not (math.isfinite(self.scale) and self.scale > 0) or self.samples < 1:
            raise ValueError(
                "noise needs a positive scale and at least 1 sample, got "
                f"{self.scale} and {self.samples}"
            )
        if self.kind not in KINDS:
            raise ValueError(f"noise is one of {KINDS}, got {self.kind!r}")

    @property
    def needs_gradient(self) -> bool:
        """Whether the draws depend on the gradient at the vector itself."""
        return self.kind in ("tangent", "one_sided")


class Draws:
    """The draws of one descent, from one seed."""

    def __init__(self, noise: Noise, seed: int):
        self.noise = noise
        # Not the seed itself: the first draw would be parallel to the random start.
        self._generator = torch.Generator().manual_seed(seed ^ 0x6E6F697E)
        self._before: Tensor | None = None

    def next(
        self, parts: Float[Tensor, "part d_model"], gradient: Float[Tensor, "part d_model"] | None
    ) -> Float[Tensor, "sample part d_model"]:
        """The noise of one step. `gradient` is that of the clean objective."""
        fresh = torch.randn(self.noise.samples, *parts.shape, generator=self._generator)
        fresh = (self.noise.scale * fresh).to(parts)
        if self.noise.kind == "anti_correlated":
            before = torch.zeros_like(fresh) if self._before is None else self._before
            self._before = fresh
            return fresh - before
        if gradient is None or not self.noise.needs_gradient:
            return fresh
        return off_gradient(fresh, gradient, one_sided=self.noise.kind == "one_sided")


def off_gradient(
    noise: Float[Tensor, "sample part d_model"],
    gradient: Float[Tensor, "part d_model"],
    one_sided: bool = False,
) -> Float[Tensor, "sample part d_model"]:
    """The noise without its part along the gradient, `ε - (ε·g / g·g) g`.

    With `one_sided` only draws that go down the gradient lose it.
    """
    square = gradient.square().sum()
    if square == 0:
        return noise
    along = (noise * gradient).sum((-2, -1), keepdim=True) / square
    if one_sided:
        along = along.clamp(max=0.0)
    return noise - along * gradient
