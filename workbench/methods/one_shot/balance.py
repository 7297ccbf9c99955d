"""A balance penalty: what a vector changes should not depend on a spurious attribute.

After Counterfactual Maximum Likelihood in its implicit form (2106.03831): to the loss over many
examples comes an integral probability metric between two groups of them that differ in the
attribute. The metric is the maximum mean discrepancy (Gretton et al. 2012) with a Gaussian kernel
whose width is the median distance, on the features `Δ`: the mean change of the last residual
stream over the tokens that predict a completion, steered less unsteered.

    MMD²(A, B) = mean k(a, a') + mean k(b, b') - 2 mean k(a, b)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class Balance:
    """`weight` times the MMD between examples of `groups[0]` and of `groups[1]`."""

    groups: tuple[str, str]
    weight: int | float = 5e-4

    def __post_init__(self) -> None:
        if not (math.isfinite(self.weight) and self.weight > 0):
            raise ValueError(f"the weight of a balance penalty is positive, got {self.weight}")
        if len(self.groups) != 2 or self.groups[0] == self.groups[1]:
            raise ValueError(f"a balance penalty compares two groups, got {self.groups}")

    def check(self, groups: Sequence[str | None]) -> None:
        """Raise ValueError where one of the groups has fewer than two examples."""
        for group in self.groups:
            if list(groups).count(group) < 2:
                raise ValueError(
                    f"the balance penalty needs at least two examples of group {group!r}: set "
                    "Example.group"
                )


def mmd(first: Float[Tensor, "m feature"], second: Float[Tensor, "n feature"]) -> Float[Tensor, ""]:
    """The maximum mean discrepancy of two samples, by the biased estimate; 0 where they agree.

    The kernel's width is the median squared distance. It carries its gradient: without, descent
    would shrink all changes alike, which leaves the discrepancy as it was.
    """
    both = torch.cat([first, second])
    squares = (both[:, None] - both[None]).square().sum(-1)
    off = squares[~torch.eye(len(both), dtype=torch.bool, device=both.device)]
    width = off.median().clamp(min=1e-12)
    kernel = (-squares / width).exp()
    m = len(first)
    square = kernel[:m, :m].mean() + kernel[m:, m:].mean() - 2 * kernel[:m, m:].mean()
    return (square.clamp(min=0.0) + 1e-12).sqrt() - 1e-6
