"""The edits themselves: pure functions on the residual stream, differentiable in the vector.

All compute in float32 where the vector is float32 and return the stream's own dtype, so that a
bfloat16 model is edited with one rounding. What they are given comes to the stream's device: the
blocks of a large model may lie on several.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


def add(
    resid: Float[Tensor, "batch pos d_model"], vector: Float[Tensor, "*#rows d_model"]
) -> Float[Tensor, "batch pos d_model"]:
    """`x -> x + v`."""
    return (resid + vector.to(resid.device)).to(resid.dtype)


def clamp(
    resid: Float[Tensor, "batch pos d_model"],
    vector: Float[Tensor, "*#rows d_model"],
    value: int | float | Float[Tensor, "*#rows 1"] = 1.0,
) -> Float[Tensor, "batch pos d_model"]:
    """`x -> x - v̂v̂ᵀx + value·v`: the component along v becomes `value` times its norm."""
    vector = vector.to(resid.device)
    if isinstance(value, Tensor):
        value = value.to(resid.device)
    unit = vector / vector.norm(dim=-1, keepdim=True)
    along = (resid * unit).sum(-1, keepdim=True)
    return (resid - along * unit + value * vector).to(resid.dtype)


def ablate(
    resid: Float[Tensor, "batch pos d_model"], vector: Float[Tensor, "*#rows d_model"]
) -> Float[Tensor, "batch pos d_model"]:
    """`x -> x - v̂v̂ᵀx`: a clamp to zero."""
    return clamp(resid, vector, value=0.0)


def low_rank(
    resid: Float[Tensor, "batch pos d_model"],
    left: Float[Tensor, "*#row rank d_model"],
    right: Float[Tensor, "*#row rank d_model"],
) -> Float[Tensor, "batch pos d_model"]:
    """`x -> x + M x` with `M = leftᵀ right`: rank one is `x -> x + v uᵀx`.

    Factors are (rank, d_model), or (batch, rank, d_model) for other ones in each row.
    """
    left, right = left.to(resid.device), right.to(resid.device)
    wide = _wide(resid, left, right)
    seen = wide @ right.mT.to(wide.dtype)
    return (wide + seen @ left.to(wide.dtype)).to(resid.dtype)


def affine(
    resid: Float[Tensor, "batch pos d_model"],
    left: Float[Tensor, "*#row rank d_model"],
    right: Float[Tensor, "*#row rank d_model"],
    vector: Float[Tensor, "*#rows d_model"],
) -> Float[Tensor, "batch pos d_model"]:
    """`x -> x + M x + v` with `M = leftᵀ right`, which sees x itself and never x + v."""
    wide = _wide(resid, left, right)
    return (low_rank(wide, left, right) + vector.to(resid.device)).to(resid.dtype)


def _wide(
    resid: Float[Tensor, "batch pos d_model"], *others: Tensor
) -> Float[Tensor, "batch pos d_model"]:
    """The stream in the widest of the dtypes: a matrix product, unlike a sum, does not mix them."""
    dtype = resid.dtype
    for other in others:
        dtype = torch.promote_types(dtype, other.dtype)
    return resid.to(dtype)
