"""MELBO: the vector of given norm that changes a later layer most (Mack & Turner, 2024).

    maximize   Σ_k ‖ x_k(v) - x_k(0) ‖^p        over the positions k of the examples
    subject to ‖v‖ = r                          (`max_norm`; the objective grows with the norm)
    and, where a constraint is given, every completion's loss within its bound

with x the residual stream at `target_layer`. Several vectors are made one after the other, each
orthogonal to those before it (`melbo`). The published code's version names a variable that does
not exist (reference, defect E).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from jaxtyping import Bool, Float
from torch import Tensor


@dataclass(frozen=True)
class LargestChange:
    """What to change: the stream entering `target_layer`, measured with the given `power`.

    Completions of the examples are read, not promoted, unless the job has a constraint.
    """

    target_layer: int
    power: int | float = 2.0

    def check(self, layers: Sequence[int]) -> None:
        """Raise ValueError where the target is not behind the vector's layers."""
        if self.target_layer <= max(layers):
            raise ValueError(
                f"target_layer {self.target_layer} is not behind layer {max(layers)}: a vector "
                "changes later layers only"
            )

    def of(
        self,
        steered: Float[Tensor, "row pos d_model"],
        unsteered: Float[Tensor, "row pos d_model"],
        real: Bool[Tensor, "row pos"],
    ) -> Float[Tensor, ""]:
        """The change that is maximized, as a mean over rows."""
        norms = (steered.float() - unsteered.float()).square().sum(-1)
        powered = (norms + 1e-12) ** (self.power / 2)
        return (powered * real).sum() / len(steered)
