"""Control vectors as llama.cpp reads them, and with it repeng and EasySteer.

`direction.{k}` is added to the output of block k, at every position. llama.cpp counts k from 1, so
that it cannot change `resid_pre[0]` and `resid_pre[1]`; repeng and EasySteer count it from 0, and
llama.cpp refuses a file with such a direction. Labels and provenance stand in a string of our own
beside, which other tools pass over.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gguf import GGUFReader, GGUFValueType, GGUFWriter

from workbench.files import written_whole
from workbench.steering.artifact import digest
from workbench.steering.formats.blocks import block_before, by_layer, layer_after
from workbench.steering.provenance import Provenance
from workbench.steering.vector import SteeringVector
from workbench.steering.vector_set import VectorSet

ARCHITECTURE = "controlvector"
FIRST_BLOCK = 1
LONGEST_LIST = 4096  # control vectors have none; a model's vocabulary is longer
_HINT, _COUNT = f"{ARCHITECTURE}.model_hint", f"{ARCHITECTURE}.layer_count"
_METHOD = f"{ARCHITECTURE}.method"
_OURS = "steering_workbench."
_RECORDS, _DIGEST = f"{_OURS}records", f"{_OURS}sha256"
_FIELDS = ("GGUF.", "general.", f"{ARCHITECTURE}.", _OURS)
_NAME = "direction."


def write_gguf(vectors: Sequence[SteeringVector], path: Path) -> Path:
    """Write a control vector file for llama.cpp, in float32.

    Raises ValueError for a vector of layer 0 or 1, and for two of one layer.
    """
    held = by_layer(vectors)
    return _write({_direction(layer): vector for layer, vector in held.items()}, path)


def write_repeng(vectors: Sequence[SteeringVector], path: Path) -> Path:
    """Write a file for repeng's `ControlVector.import_gguf` or EasySteer, from layer 1 on.

    Raises ValueError for a vector of layer 0, and for two of one layer.
    """
    held = by_layer(vectors)
    return _write({block_before(layer): vector for layer, vector in held.items()}, path)


def _write(blocks: Mapping[int, SteeringVector], path: Path) -> Path:
    vectors = blocks.values()
    models = {v.provenance.model.name for v in vectors if v.provenance.model is not None}
    if len(models) > 1:
        raise ValueError(f"vectors of different models do not go into one file: {sorted(models)}")
    own = {
        str(block): {"label": vector.label, "provenance": vector.provenance.to_json()}
        for block, vector in blocks.items()
    }
    records = json.dumps(own, ensure_ascii=False)
    with written_whole(path) as part:
        writer = GGUFWriter(part, ARCHITECTURE)
        writer.add_string(_HINT, next(iter(models), "unknown"))
        writer.add_string(_METHOD, ", ".join(sorted({v.provenance.method for v in vectors})))
        writer.add_uint32(_COUNT, len(blocks))
        writer.add_string(_RECORDS, records)
        writer.add_string(_DIGEST, _digest(blocks, records))
        for block, vector in blocks.items():
            writer.add_tensor(f"{_NAME}{block}", vector.values.numpy().astype(np.float32))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
    return path


def read_gguf(path: Path) -> VectorSet:
    """Read a control vector file. Raises ValueError for one that is damaged, or is a model."""
    try:
        reader = _Reader(path)
        architecture = _text(reader, "general.architecture")
        if architecture != ARCHITECTURE:
            raise ValueError(f"it is a file of {architecture!r}, not a {ARCHITECTURE}")
        strange = [name for name in reader.fields if not name.startswith(_FIELDS)]
        if strange:  # also ours, where their names are damaged
            raise ValueError(f"no control vector has a field {strange[0]!r}")
        records, written = _text(reader, _RECORDS), _text(reader, _DIGEST)
        told = json.loads(records or "{}")
        vectors = [_vector(tensor, told, _text(reader, _HINT)) for tensor in reader.tensors]
        blocks = {
            block_before(layer): vector for layer, vector in by_layer(vectors).items()
        }  # raises where two are of one layer
        ours = any(name.startswith(_OURS) for name in reader.fields)
        if ours and written != _digest(blocks, records):
            raise ValueError("it is not what was written")
    except (
        ArithmeticError,
        AttributeError,
        LookupError,
        MemoryError,
        RecursionError,
        TypeError,
        ValueError,
        struct.error,
    ) as error:
        raise ValueError(f"{path} holds no control vector that can be read: {error}") from error
    return VectorSet(sorted(vectors, key=lambda vector: vector.layers))


class _Reader(GGUFReader):
    """Reads nothing beyond the file's end, and no list that only a model has.

    The reader below takes what lies beyond the end for empty, so that a count of 2⁶⁰ in a file of
    100 bytes would keep it busy for ever.
    """

    def _get(self, offset: Any, dtype: Any, count: Any = 1, *rest: Any, **named: Any) -> Any:
        if int(offset) + np.dtype(dtype).itemsize * int(count) > len(self.data):
            raise ValueError("it is cut short")
        return super()._get(offset, dtype, count, *rest, **named)

    def _get_field_parts(self, orig_offs: Any, raw_type: Any) -> Any:
        if raw_type == GGUFValueType.ARRAY:
            held, length = (
                self._get(orig_offs, np.uint32)[0],
                self._get(orig_offs + 4, np.uint64)[0],
            )
            if held == GGUFValueType.ARRAY or length > LONGEST_LIST:
                raise ValueError(f"it holds a list of {length} entries, as no control vector does")
        return super()._get_field_parts(orig_offs, raw_type)


def _direction(layer: int) -> int:
    """The `k` of `direction.k` for a vector of `resid_pre[layer]`."""
    block = block_before(layer)
    if block < FIRST_BLOCK:
        raise ValueError(
            f"llama.cpp counts directions from {FIRST_BLOCK}, the output of the second block: a "
            f"vector of layer {layer} cannot be expressed, take layer {layer_after(FIRST_BLOCK)} "
            "or later"
        )
    return block


def _vector(tensor: Any, records: Any, hint: str) -> SteeringVector:
    if not tensor.name.startswith(_NAME):
        raise ValueError(f"it holds {tensor.name!r}, which is no direction")
    number = tensor.name.removeprefix(_NAME)
    if not (number.isascii() and number.isdecimal()):
        raise ValueError(f"{tensor.name!r} names no block")
    values = torch.from_numpy(np.array(tensor.data))
    if not values.is_floating_point() or values.ndim != 1:
        raise ValueError(f"{tensor.name} is {values.dtype} of shape {tuple(values.shape)}")
    layer = layer_after(int(number))
    own = records.get(number)
    if own is None:
        about = Provenance("control vector", config={"model_hint": hint})
        return SteeringVector(values, layer, about, tensor.name)
    if not isinstance(own["label"], str):
        raise ValueError(f"the label of {tensor.name} is no text")
    return SteeringVector(values, layer, Provenance.from_json(own["provenance"]), own["label"])


def _digest(blocks: Mapping[int, SteeringVector], records: str) -> str:
    """Of our own files: other tools write none."""
    values = {f"{_NAME}{block}": vector.values for block, vector in blocks.items()}
    return digest(values, {_RECORDS: records})


def _text(reader: GGUFReader, name: str) -> str:
    field = reader.fields.get(name)
    if field is None:
        return ""
    return bytes(field.parts[field.data[0]]).decode("utf-8")
