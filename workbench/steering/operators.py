"""The edits themselves: pure functions on the residual stream, differentiable in the vector.

All compute in float32 where the vector is float32 and return the stream's own dtype, so that a
bfloat16 model is edited with one rounding.
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor


def add(
    resid: Float[Tensor, "batch pos d_model"], vector: Float[Tensor, "*#rows d_model"]
) -> Float[Tensor, "batch pos d_model"]:
    """`x -> x + v`."""
    return (resid + vector).to(resid.dtype)


def clamp(
    resid: Float[Tensor, "batch pos d_model"],
    vector: Float[Tensor, "*#rows d_model"],
    value: int | float | Float[Tensor, "*#rows 1"] = 1.0,
) -> Float[Tensor, "batch pos d_model"]:
    """`x -> x - v̂v̂ᵀx + value·v`: the component along v becomes `value` times its norm."""
    unit = vector / vector.norm(dim=-1, keepdim=True)
    along = (resid * unit).sum(-1, keepdim=True)
    return (resid - along * unit + value * vector).to(resid.dtype)


def ablate(
    resid: Float[Tensor, "batch pos d_model"], vector: Float[Tensor, "*#rows d_model"]
) -> Float[Tensor, "batch pos d_model"]:
    """`x -> x - v̂v̂ᵀx`: a clamp to zero."""
    return clamp(resid, vector, value=0.0)
