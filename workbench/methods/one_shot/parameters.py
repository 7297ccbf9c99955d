"""What is trained: one vector, one a layer, an affine map of low rank, or its matrix alone.

Whatever it is, it is a matrix of parts, each as wide as the residual stream: "add" and "clamp"
have one part (or one a layer), "affine" a vector and the 2·rank rows of its factors, "matrix" the
factors alone (paper, section 1.3: `x -> x + Mx + v`, `M = leftᵀ right`). So an optimizer sees one
matrix, every part has its own norm bound, and the batch holds one such matrix a row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from workbench.models.hooked import HookedModel, check_layer, d_model
from workbench.steering import operators
from workbench.steering.affine import Affine, AffineMap
from workbench.steering.interventions import Add, Clamp, Intervention
from workbench.steering.positions import Positions
from workbench.steering.provenance import Provenance
from workbench.steering.vector import SteeringVector

Way = Literal["add", "clamp", "affine", "matrix"]


@dataclass(frozen=True)
class Shape:
    """How a job's parts are laid out and how they act: rows of one shape are edited together."""

    way: Way
    value: float
    rank: int
    layers: tuple[int, ...]
    one_a_layer: bool
    max_norm: float
    max_row_norm: float

    @property
    def vectors(self) -> int:
        """How many of the parts are vectors; they come first."""
        if self.way == "matrix":
            return 0
        return len(self.layers) if self.one_a_layer else 1

    @property
    def count(self) -> int:
        """How many parts there are."""
        return self.vectors + 2 * self.rank

    def within(self, parts: Float[Tensor, "part d_model"]) -> Float[Tensor, "part d_model"]:
        """The parts, those that are too long scaled back to their bounds."""
        norms = parts.norm(dim=-1, keepdim=True)
        bounds = norms.new_tensor(
            [self.max_norm] * self.vectors + [self.max_row_norm] * (2 * self.rank)
        )[:, None]
        inside = norms <= bounds
        # Where nothing is scaled the other branch is kept finite: its gradient is taken, times 0.
        scale = torch.where(inside, norms.detach(), bounds) / norms.clamp(min=1e-30)
        return torch.where(inside, parts, parts * scale)

    def signed(
        self, parts: Float[Tensor, "row part d_model"], sign: Float[Tensor, " row"]
    ) -> Float[Tensor, "row part d_model"]:
        """Parts whose edit is the opposite one where the sign is -1: `-v`, and `-M` by its left."""
        flips = torch.arange(self.count, device=parts.device) < self.vectors + self.rank
        return parts * torch.where(flips, sign[:, None], 1.0)[..., None]

    def edit(
        self,
        resid: Float[Tensor, "row pos d_model"],
        parts: Float[Tensor, "row part d_model"],
        layer: int,
    ) -> Float[Tensor, "row pos d_model"]:
        """The stream of some rows after the edit at `layer`, each row with its own parts."""
        at = self.layers.index(layer) if self.one_a_layer else 0
        vector = parts[:, at : at + 1]
        if self.way == "clamp":
            return operators.clamp(resid, vector, self.value)
        if self.way == "add":
            return operators.add(resid, vector)
        left, right = parts[:, self.vectors :].chunk(2, dim=1)
        if self.way == "matrix":
            return operators.low_rank(resid, left, right)
        return operators.affine(resid, left, right, vector)


def first_parts(
    model: HookedModel,
    shape: Shape,
    start: Tensor | SteeringVector | None,
    start_norm: int | float | None,
    seed: int,
) -> Float[Tensor, "part d_model"]:
    """Where a descent starts, float32 on the CPU: Gaussian directions unless one is given.

    Raises ValueError for a start of the wrong width or with values that are not finite,
    IndexError for a layer that the model does not have.
    """
    for layer in shape.layers:
        check_layer(model, layer)
    width = d_model(model)
    generator = torch.Generator().manual_seed(seed)
    if start is None:
        vectors = torch.randn(shape.vectors, width, generator=generator)
        vectors *= (start_norm or 1.0) / vectors.norm(dim=-1, keepdim=True)
    else:
        vectors = _given(start, shape, width, start_norm)
    if shape.way == "clamp" and bool((vectors.norm(dim=-1) == 0).any()):
        raise ValueError("a clamp needs a start that is not zero: it has no direction")
    factors = torch.randn(2 * shape.rank, width, generator=generator)
    factors /= factors.norm(dim=-1, keepdim=True)
    return shape.within(torch.cat([vectors, factors]))


def _given(
    start: Tensor | SteeringVector, shape: Shape, width: int, start_norm: int | float | None
) -> Float[Tensor, "vector d_model"]:
    values = start.values if isinstance(start, SteeringVector) else torch.as_tensor(start)
    rows = [
        SteeringVector(row, shape.layers).values for row in values.reshape(-1, values.shape[-1])
    ]
    vectors = torch.stack(rows).clone()
    if vectors.shape[-1] != width:
        raise ValueError(
            f"start is {vectors.shape[-1]} wide, the model's residual stream is {width} wide "
            "(axis d_model)"
        )
    if len(vectors) not in (1, shape.vectors) or shape.vectors == 0:
        raise ValueError(f"start has {len(vectors)} vectors, the job trains {shape.vectors}")
    vectors = vectors.expand(shape.vectors, -1).clone()
    if start_norm is not None:
        if bool((vectors.norm(dim=-1) == 0).any()):
            raise ValueError("a start of zeros cannot be given a norm")
        vectors *= start_norm / vectors.norm(dim=-1, keepdim=True)
    return vectors


def trained(
    shape: Shape,
    parts: Float[Tensor, "part d_model"],
    provenance: Provenance,
    label: str,
    positions: Positions | Tensor,
) -> tuple[tuple[SteeringVector, ...], list[Intervention]]:
    """The vectors among the parts, and the interventions that do what was trained."""
    layers: Sequence[Any] = [(layer,) for layer in shape.layers]
    if not shape.one_a_layer:
        layers = [shape.layers]
    vectors = tuple(
        SteeringVector(part, at, provenance, label)
        for part, at in zip(parts[: shape.vectors], layers, strict=False)
    )
    if shape.rank:
        left, right = parts[shape.vectors :].chunk(2)
        affine = AffineMap(
            left=left.clone(),
            right=right.clone(),
            vector=vectors[0] if vectors else None,
            layers=shape.layers,
            provenance=provenance,
            label=label,
        )
        return vectors, [Affine(affine, positions=positions)]
    if shape.way == "clamp":
        return vectors, [Clamp(vector, shape.value, positions) for vector in vectors]
    return vectors, [Add(vector, positions=positions) for vector in vectors]
