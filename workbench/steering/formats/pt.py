"""Tensors as PyTorch saves them: a row, a row a block, or a dict of rows.

Rows are numbered by the block whose output they are added to, as in vLLM's tools and in the
steering-vectors library. Read with `weights_only=True`: nothing in a file is executed, and a
pickled object is refused.
"""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import Tensor

from workbench.files import written_whole
from workbench.steering.formats.blocks import block_before, by_layer, layer_after
from workbench.steering.provenance import Provenance
from workbench.steering.vector import SteeringVector
from workbench.steering.vector_set import VectorSet

_FAILS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    NotImplementedError,
    MemoryError,
    OSError,  # of the bytes in memory: the file itself has been read
    RuntimeError,  # also that of too deep a recursion
    TypeError,
    UnpicklingError,
    ValueError,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
)


def write_pt(vectors: Sequence[SteeringVector], path: Path) -> Path:
    """A single vector as (d_model); several as (n_layers, d_model), zero where there is none.

    The matrix has a row a block of the model that the vectors were made on, or else up to the last
    one needed. Raises ValueError for a vector of layer 0 among several, and for two of one layer.
    """
    if len(vectors) == 1 and len(vectors[0].layers) == 1:
        return _save(vectors[0].values, path)
    rows = {block_before(layer): vector for layer, vector in by_layer(vectors).items()}
    made_on = [v.provenance.model for v in vectors if v.provenance.model is not None]
    count = max([max(rows) + 1, *(model.n_layers for model in made_on)])
    matrix = torch.zeros(count, vectors[0].d_model)
    for row, vector in rows.items():
        matrix[row] = vector.values
    return _save(matrix, path)


def read_pt(path: Path) -> VectorSet:
    """Rows that are not zero; a single row is given layer 0, which the file does not say.

    Raises ValueError for anything but a tensor of one or two axes.
    """
    found = _load(path)
    if not isinstance(found, Tensor) or found.ndim not in (1, 2):
        raise ValueError(f"{path} holds no tensor (d_model) or (n_layers, d_model): {_what(found)}")
    if found.ndim == 1:
        return VectorSet([_vector(found, 0, path.stem)])
    rows = {row: values for row, values in enumerate(found) if bool(values.any())}
    if not rows:
        raise ValueError(f"{path} holds {len(found)} rows, all of them zero")
    return VectorSet(
        _vector(values, layer_after(row), f"{path.stem}, block {row}")
        for row, values in rows.items()
    )


def write_layers_pt(vectors: Sequence[SteeringVector], path: Path) -> Path:
    """A dict of block and row. Raises ValueError for a vector of layer 0, and for two of one."""
    held = {block_before(layer): v.values for layer, v in by_layer(vectors).items()}
    return _save(held, path)


def read_layers_pt(path: Path) -> VectorSet:
    """A dict of block and row. Raises ValueError for anything else."""
    found = _load(path)
    named = isinstance(found, dict) and all(
        isinstance(block, int) and isinstance(row, Tensor) and row.ndim == 1
        for block, row in found.items()
    )
    if not named or not found:
        raise ValueError(f"{path} holds no dict of block and row: {_what(found)}")
    return VectorSet(
        _vector(row, layer_after(block), f"{path.name.split('.')[0]}, block {block}")
        for block, row in sorted(found.items())
    )


def _vector(values: Tensor, layer: int, label: str) -> SteeringVector:
    if not values.is_floating_point():
        raise ValueError(f"“{label}” holds {values.dtype}, no numbers of a stream")
    return SteeringVector(values.float(), layer, Provenance("read from a tensor"), label)


def _save(held: Any, path: Path) -> Path:
    with written_whole(path) as part:
        torch.save(held, part)
    return path


def _load(path: Path) -> Any:
    content = path.read_bytes()
    try:
        found = torch.load(_clean(content), map_location="cpu", weights_only=True)
        _check_plain(found)
        return found
    except _FAILS as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(
            f"{path} could not be read as plain tensors ({reason}). Pickled objects are not read: "
            "save the tensors themselves"
        ) from error


def _clean(content: bytes) -> io.BytesIO:
    """The same archive, written anew from what its checksums confirm.

    PyTorch looks at no checksum, and reads more in an archive's directory than it should: of a
    record that one flipped bit has made a folder it gives whatever lies in the memory.

    Raises ValueError for an archive that PyTorch did not write, or that holds more than it is long.
    """
    clean = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as held, zipfile.ZipFile(clean, "w") as anew:
        members = held.infolist()
        if any(each.compress_type != zipfile.ZIP_STORED for each in members):
            raise ValueError("it is compressed, as PyTorch's own files never are")
        if sum(each.file_size for each in members) > len(content):
            raise ValueError("its pieces lie over each other")
        if len({each.filename for each in members}) < len(members):
            raise ValueError("it holds a piece twice")
        for each in members:
            anew.writestr(each.filename, held.read(each))  # raises where the checksum is wrong
    clean.seek(0)
    return clean


def _check_plain(found: Any) -> None:
    """Raise ValueError for tensors that say to be larger than what the file holds of them.

    A file of a few bytes can hold a view of 10¹² times one number: it would fill the memory when
    it is copied.
    """
    for held in found.values() if isinstance(found, dict) else [found]:
        if not isinstance(held, Tensor):
            continue
        if held.layout != torch.strided or held.device.type != "cpu":
            raise ValueError(f"a tensor of {held.layout} on {held.device}, no plain numbers")
        if held.numel() * held.element_size() > held.untyped_storage().nbytes():
            raise ValueError(f"a tensor of shape {tuple(held.shape)} that repeats what it holds")


def _what(found: Any) -> str:
    if isinstance(found, Tensor):
        return f"a tensor of shape {tuple(found.shape)}"
    return f"a {type(found).__name__}"
