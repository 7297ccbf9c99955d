"""Our own safetensors files: one vector, or a folder of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from workbench.steering.vector import SteeringVector
from workbench.steering.vector_set import VectorSet


def read_native(path: Path) -> VectorSet:
    """A file or a folder. A vector without a label is called as its file."""
    if path.is_dir():
        return VectorSet.load(path)
    vector = SteeringVector.load(path)
    return VectorSet([vector if vector.label else vector.labelled(path.stem)])


def write_native(vectors: Sequence[SteeringVector], path: Path) -> Path:
    """One vector to a file; several to a folder of that name."""
    if path.suffix:
        if len(vectors) > 1:
            raise ValueError(
                f"{path.name} is a file, and there are {len(vectors)} vectors: name a folder"
            )
        return vectors[0].save(path)
    VectorSet(vectors).save(path)
    return path
