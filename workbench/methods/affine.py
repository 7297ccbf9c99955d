"""Affine concept editing (ACE): move the stream to where prompts without, or with, a concept lie.

Marshall, Scherlis & Belrose 2024 (arXiv 2411.09003). With the mean activations r+ on prompts that
have the concept and r- on prompts that do not, and r = r+ - r-:

    v' = v - proj_r(v) + proj_r(r-) + strength · r

At strength 0 every prompt gets the component of those without the concept, at 1 of those with it.
Without `proj_r(r-)` it is directional ablation and addition; without the projections, addition.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from workbench.methods.mean_difference import mean_difference
from workbench.methods.moments import moments
from workbench.models.hooked import HookedModel
from workbench.steering.activations import DEFAULT_BATCH, LAST_TOKEN
from workbench.steering.affine import AffineMap
from workbench.steering.positions import Positions
from workbench.steering.vector import SteeringVector


@dataclass(frozen=True, eq=False)
class ConceptEdit:
    """The direction r of a concept, and the mean activation r- of prompts without it.

    `Affine(edit.at(strength))` applies it. Raises ValueError for a direction that is zero, and for
    a reference of another width.
    """

    direction: SteeringVector
    reference: Float[Tensor, " d_model"]

    def __post_init__(self) -> None:
        if not self.direction.norm:
            raise ValueError("the direction of a concept edit is zero: there is nothing to edit")
        if self.reference.shape != self.direction.values.shape:
            raise ValueError(
                f"the reference has shape {tuple(self.reference.shape)}, the direction "
                f"{tuple(self.direction.values.shape)}"
            )

    def at(self, strength: int | float = 0.0) -> AffineMap:
        """The map at a strength: 0 is without the concept, 1 with it."""
        r = self.direction
        unit = r.values / r.norm
        along = unit @ self.reference.to(unit)
        record = r.provenance.derived("affine concept edit", strength=float(strength))
        label = f"{r.label or 'concept'}, affine {strength:g}"
        moved = SteeringVector(along * unit + strength * r.values, r.layers, record, label)
        return AffineMap(-unit[None], unit[None], moved, r.layers, record, label)


def concept_edit(
    model: HookedModel,
    positive: Sequence[str],
    negative: Sequence[str],
    layer: int,
    *,
    positions: Positions = LAST_TOKEN,
    batch_size: int = DEFAULT_BATCH,
    label: str | None = None,
    progress: bool = False,
) -> ConceptEdit:
    """The edit from prompts that have the concept and prompts that do not, at one layer.

    Raises ValueError as `mean_difference` does, and where the two means are the same.
    """
    (edit,) = concept_edits(
        model,
        positive,
        negative,
        [layer],
        positions=positions,
        batch_size=batch_size,
        label=label,
        progress=progress,
    )
    return edit


def concept_edits(
    model: HookedModel,
    positive: Sequence[str],
    negative: Sequence[str],
    layers: Sequence[int],
    *,
    positions: Positions = LAST_TOKEN,
    batch_size: int = DEFAULT_BATCH,
    label: str | None = None,
    progress: bool = False,
) -> list[ConceptEdit]:
    """`concept_edit` at several layers: the prompts are read once for all of them."""
    directions = mean_difference(
        model,
        positive,
        negative,
        layers=layers,
        positions=positions,
        batch_size=batch_size,
        label=label,
        progress=progress,
    )
    without = moments(
        model,
        negative,
        layers=layers,
        positions=positions,
        batch_size=batch_size,
        progress=progress,
    )
    return [
        ConceptEdit(direction, without.at(direction.layers[0]).to(torch.float32).cpu())
        for direction in directions
    ]
