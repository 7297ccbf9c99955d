"""Reading vectors: the first principal component of paired differences.

Representation engineering (RepE, Zou et al. 2023, arXiv 2310.01405). For pairs of prompts that
differ in a concept, the differences of their activations with signs turned at random (so that the
concept is what they vary along, and no mean hides it) are recentred, and their first principal
component is the direction. Its sign is chosen so that the positive prompts project higher in most
pairs; its norm is the mean projection of the differences, so that it compares with a difference of
means.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from workbench.models.hooked import HookedModel, n_layers
from workbench.steering.activations import DEFAULT_BATCH, LAST_TOKEN, activations
from workbench.steering.positions import Positions
from workbench.steering.provenance import Provenance
from workbench.steering.vector import SteeringVector
from workbench.steering.vector_set import VectorSet


def principal_component(
    model: HookedModel,
    positive: Sequence[str],
    negative: Sequence[str],
    *,
    layers: Sequence[int] | None = None,
    positions: Positions = LAST_TOKEN,
    seed: int = 0,
    batch_size: int = DEFAULT_BATCH,
    label: str | None = None,
    progress: bool = False,
) -> VectorSet:
    """One reading vector a layer; `positive[i]` and `negative[i]` are a pair.

    `seed` decides which half of the differences is turned. Without `layers`, those where the pairs
    do not differ are left out, as the first one is at a token of the template. Raises ValueError
    for unequal lengths, fewer than two pairs, pairs that repeat, and pairs without any difference
    at a layer that was asked for.
    """
    _check_pairs(positive, negative)
    wanted = list(range(n_layers(model)) if layers is None else layers)
    above, below = (
        activations(
            model,
            prompts,
            layers=wanted,
            positions=positions,
            batch_size=batch_size,
            progress=progress,
        ).double()
        for prompts in (positive, negative)
    )
    provenance = Provenance.of(
        "principal-component",
        model,
        config={"positions": positions.to_dict(), "n_pairs": len(positive)},
        seed=seed,
        examples=tuple(
            {"sign": sign, "prompts": list(prompts)}
            for sign, prompts in (("+", positive), ("-", negative))
        ),
    )
    differences = above - below
    found = [i for i in range(len(wanted)) if layers is not None or bool(differences[:, i].any())]
    return VectorSet(
        SteeringVector(
            _component(differences[:, i], seed, wanted[i]).float(),
            wanted[i],
            provenance,
            label or f"principal component, layer {wanted[i]}",
        )
        for i in found
    )


def _component(
    differences: Float[Tensor, "pair d_model"], seed: int, layer: int
) -> Float[Tensor, " d_model"]:
    """The first component, with its sign and its norm."""
    generator = torch.Generator().manual_seed(seed)
    # As many turned as not, so that no mean is left to be taken out.
    signs = (torch.randperm(len(differences), generator=generator) % 2)[:, None] * 2.0 - 1
    turned = differences * signs
    turned = turned - turned.mean(0)
    _, values, right = torch.linalg.svd(turned, full_matrices=False)
    if not values[0] > 0:
        raise ValueError(f"the pairs do not differ at layer {layer}: there is no component")
    projections = differences @ right[0]
    sign = 1.0 if int((projections > 0).sum()) * 2 >= len(projections) else -1.0
    return sign * right[0] * projections.mean().abs()


def _check_pairs(positive: Sequence[str], negative: Sequence[str]) -> None:
    if len(positive) != len(negative) or len(positive) < 2:
        raise ValueError(
            f"{len(positive)} positive and {len(negative)} negative prompts: two pairs or more are "
            "needed, a negative prompt for each positive one"
        )
    pairs = list(zip(positive, negative, strict=True))
    if len(set(pairs)) < len(pairs):
        repeated = next(pair for pair in pairs if pairs.count(pair) > 1)
        raise ValueError(f"the pair {repeated} is there more than once: each counts as one sample")
