"""Layers as other tools count them: by the block whose output is changed.

A vector of layer L acts on `resid_pre[L]`, the input of block L. That is the output of block
L - 1: what others number by outputs is one less.
"""

from __future__ import annotations

from collections.abc import Sequence

from workbench.steering.vector import SteeringVector


def block_before(layer: int) -> int:
    """The block whose output is the input of `layer`. Raises ValueError for layer 0."""
    if layer < 1:
        raise ValueError(
            f"a vector of layer {layer} acts before the first block: no block's output is changed"
        )
    return layer - 1


def layer_after(block: int) -> int:
    """The layer whose input is the output of `block`. Raises ValueError for a negative one."""
    if block < 0:
        raise ValueError(f"there is no block {block}")
    return block + 1


def by_layer(vectors: Sequence[SteeringVector]) -> dict[int, SteeringVector]:
    """Vectors by their layer, one that acts at several at each of them.

    Raises ValueError for two at one layer, and for vectors of different widths.
    """
    found: dict[int, SteeringVector] = {}
    for vector in vectors:
        for layer in vector.layers:
            if layer in found:
                raise ValueError(
                    f"“{found[layer].label}” and “{vector.label}” both act at layer {layer}: this "
                    "format holds one vector a layer"
                )
            found[layer] = vector
    widths = sorted({vector.d_model for vector in vectors})
    if len(widths) > 1:
        raise ValueError(f"vectors of different d_model do not go into one file: {widths}")
    return dict(sorted(found.items()))
