"""Vectors of other tools, in and out: by format name, or by what a file's name ends in.

| format | file | who reads it |
|---|---|---|
| `safetensors` | one vector, or a folder of them | this workbench: everything is kept |
| `gguf` | one vector a layer, from layer 2 on | llama.cpp, repeng, EasySteer |
| `repeng` | the same, from layer 1 on | repeng |
| `easysteer` | the same, from layer 1 on | EasySteer |
| `pt` | a tensor, (d_model) or (n_layers, d_model) | PyTorch, EasySteer, most scripts |
| `layers.pt` | a dict of layer and tensor | steering-vectors |

Nothing in a file is ever executed: `.pt` files are read with `weights_only=True`. What a running
vLLM engine takes is no file: vllm.py.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from workbench.steering.formats.gguf import read_gguf, write_gguf, write_repeng
from workbench.steering.formats.native import read_native, write_native
from workbench.steering.formats.pt import (
    read_layers_pt,
    read_pt,
    write_layers_pt,
    write_pt,
)
from workbench.steering.vector import SteeringVector
from workbench.steering.vector_set import VectorSet


@dataclass(frozen=True)
class Format:
    """How a format is read and written, what its files end in, and what it cannot carry."""

    read: Callable[[Path], VectorSet]
    write: Callable[[Sequence[SteeringVector], Path], Path]
    suffix: str
    loses: str


FORMATS: dict[str, Format] = {
    "safetensors": Format(read_native, write_native, ".safetensors", "It keeps everything."),
    "repeng": Format(
        read_gguf,
        write_repeng,
        ".repeng.gguf",
        "repeng sees the values and the blocks, and a model's name where it writes a model's type; "
        "label and provenance are kept for this workbench. Layer 0 cannot be expressed. The "
        "strength is set_control's, which wants a vector for every block that its ControlModel "
        "wraps: wrap those of the file (layer_ids = layer - 1).",
    ),
    "easysteer": Format(
        read_gguf,
        write_repeng,
        ".easysteer.gguf",
        "EasySteer sees the values, the blocks and the method; label and provenance are kept for "
        "this workbench. Layer 0 cannot be expressed. Scale, algorithm (direct adds) and positions "
        "belong to its VectorSpec; choose there prompt and generation “all” for every position.",
    ),
    "gguf": Format(
        read_gguf,
        write_gguf,
        ".gguf",
        "Other tools see the values and the layers; label and provenance are kept for this "
        "workbench. Positions, scale and the kind of intervention are the reader's: it adds the "
        "vectors at every position.",
    ),
    "layers.pt": Format(
        read_layers_pt,
        write_layers_pt,
        ".layers.pt",
        "Labels and provenance are lost: what is read back belongs to no model.",
    ),
    "pt": Format(
        read_pt,
        write_pt,
        ".pt",
        "Labels and provenance are lost, and of a single row the layer too: what is read back "
        "belongs to no model, and a single row to layer 0.",
    ),
}


def read_vectors(path: str | Path, format: str | None = None) -> VectorSet:
    """The vectors of a file, or of a folder of our own files.

    Raises FileNotFoundError, and ValueError for an unknown format or a file that is damaged or
    holds something else.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"there is no vector file at {path}")
    read = format_named(path, format).read
    try:
        return read(path)
    except ValueError as error:
        if str(path) in str(error):
            raise
        raise ValueError(f"{path} holds vectors that cannot be used: {error}") from error


def write_vectors(
    vectors: SteeringVector | Sequence[SteeringVector] | VectorSet,
    path: str | Path,
    format: str | None = None,
) -> Path:
    """Write vectors, whole or not at all; `FORMATS[…].loses` says what a format cannot carry.

    Raises ValueError for an unknown format, and for vectors that the format cannot hold.
    """
    path = Path(path)
    held = [vectors] if isinstance(vectors, SteeringVector) else list(vectors)
    if not held:
        raise ValueError("there are no vectors to write")
    return format_named(path, format).write(held, path)


def format_named(path: Path, name: str | None = None) -> Format:
    """The format of a name, or of what the file's name ends in; folders are our own.

    Raises ValueError where neither says it.
    """
    if name is None:
        fitting = [key for key, each in FORMATS.items() if path.name.endswith(each.suffix)]
        if path.is_dir() or not path.suffix:
            return FORMATS["safetensors"]
        if not fitting:
            raise ValueError(
                f"{path.name} does not say its format: name one of {', '.join(FORMATS)}"
            )
        return FORMATS[fitting[0]]
    if name not in FORMATS:
        raise ValueError(f"there is no format {name!r}; known: {', '.join(FORMATS)}")
    return FORMATS[name]


__all__ = ["FORMATS", "Format", "format_named", "read_vectors", "write_vectors"]
