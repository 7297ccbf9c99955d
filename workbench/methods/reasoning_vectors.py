"""Control vectors from reasoning items: their mean, their contrast with noise, and its component.

Højer, Jarvis & Heinrich 2025 (arXiv 2504.19483). Read at the last token of items that a model
should reason about, at a middle layer, and added there with a factor of -1 to 1:

    mean       v = mean h(item)
    contrast   v = mean h(item) - mean h(noise)
    component  the first principal component of h(item_i) - h(noise_i)

Noise is text of random letters, as long as its item. What the vectors do is measured by
`evaluation.next_token`.
"""

from __future__ import annotations

import random
import string
from collections.abc import Sequence
from typing import Literal

from workbench.methods.mean_difference import mean_difference
from workbench.methods.moments import moments
from workbench.methods.principal_component import principal_component
from workbench.models.hooked import HookedModel
from workbench.steering.activations import LAST_TOKEN
from workbench.steering.positions import Positions
from workbench.steering.provenance import Provenance
from workbench.steering.vector import SteeringVector
from workbench.steering.vector_set import VectorSet

Variant = Literal["mean", "contrast", "component"]


def reasoning_vectors(
    model: HookedModel,
    items: Sequence[str],
    variant: Variant = "contrast",
    *,
    noise: Sequence[str] | None = None,
    layers: Sequence[int] | None = None,
    positions: Positions = LAST_TOKEN,
    seed: int = 0,
    progress: bool = False,
) -> VectorSet:
    """One vector a layer. `noise` are texts to contrast with; random letters without.

    Raises ValueError without items, and as `mean_difference` and `principal_component` do.
    """
    if not items:
        raise ValueError("there are no items to read")
    if variant == "mean":
        return _means(model, items, layers, positions, progress)
    texts = [random_letters(len(item), seed + i) for i, item in enumerate(items)]
    against = list(noise) if noise is not None else texts
    if variant == "contrast":
        return mean_difference(
            model, items, against, layers=layers, positions=positions, progress=progress
        )
    return principal_component(
        model, items, against, layers=layers, positions=positions, seed=seed, progress=progress
    )


def random_letters(length: int, seed: int) -> str:
    """Words of random small letters, `length` characters in all."""
    rng = random.Random(seed)
    letters = [rng.choice(string.ascii_lowercase) for _ in range(length)]
    for i in range(rng.randint(2, 8), max(length - 1, 0), 6):
        letters[i] = " "
    return "".join(letters)


def _means(
    model: HookedModel,
    items: Sequence[str],
    layers: Sequence[int] | None,
    positions: Positions,
    progress: bool,
) -> VectorSet:
    read = moments(model, items, layers=layers, positions=positions, progress=progress)
    provenance = Provenance.of(
        "mean",
        model,
        config={"positions": positions.to_dict(), "n": read.n},
        examples=({"prompts": list(items)},),
    )
    return VectorSet(
        SteeringVector(read.at(layer).float().cpu(), layer, provenance, f"mean, layer {layer}")
        for layer in read.layers
    )
