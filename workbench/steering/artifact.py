"""What vectors and affine maps share: layers, finite values, a model they belong to, a file each.

A file is safetensors with text in its metadata: written whole or not at all, never unpickled.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from workbench.files import written_whole
from workbench.models.hooked import HookedModel, d_model, n_layers
from workbench.models.identity import record_of
from workbench.steering.provenance import Provenance

DIGEST = "sha256"
_DIGEST_LIKE = re.compile("[0-9a-f]{64}")


@runtime_checkable
class Artifact(Protocol):
    """Something made for some layers of a model: a steering vector, an affine map."""

    @property
    def layers(self) -> tuple[int, ...]: ...
    @property
    def d_model(self) -> int: ...
    @property
    def provenance(self) -> Provenance: ...
    @property
    def label(self) -> str: ...
    def check_model(self, model: HookedModel) -> None: ...


# ---- What one must be ----


def own_values(values: Tensor) -> Float[Tensor, "*shape"]:
    """A copy of one's own, float32 on the CPU."""
    return torch.as_tensor(values).detach().to("cpu", torch.float32).clone()


def check_finite(values: Float[Tensor, "*shape"], noun: str) -> None:
    """Raise ValueError that names the first value that is NaN or infinite."""
    if not values.isfinite().all():
        first = (~values.isfinite()).nonzero()[0].tolist()
        index = first[0] if len(first) == 1 else tuple(first)
        raise ValueError(f"the {noun} has NaN or infinite values, the first at index {index}")


def checked_layers(layers: int | Iterable[int]) -> tuple[int, ...]:
    """The layers as a tuple. Raises ValueError unless there is one, or several distinct ones."""
    listed = (layers,) if isinstance(layers, int) else tuple(int(layer) for layer in layers)
    if not listed or min(listed) < 0 or len(set(listed)) < len(listed):
        raise ValueError(f"layer must be one index, or several distinct ones; got {layers}")
    return listed


# ---- The model it belongs to ----


def check_belongs(artifact: Artifact, model: HookedModel, noun: str) -> None:
    """Raise ValueError unless it fits `model` and was made on it."""
    if artifact.d_model != d_model(model):
        raise ValueError(
            f"the {noun} is {artifact.d_model} wide, but the model's residual stream is "
            f"{d_model(model)} wide (axis d_model)"
        )
    if max(artifact.layers) >= n_layers(model):
        raise ValueError(
            f"the {noun} acts on layer {max(artifact.layers)}, but the model's last layer is "
            f"{n_layers(model) - 1}"
        )
    made_on, here = artifact.provenance.model, record_of(model)
    if made_on is None:
        return
    for field in ("name", "weight_processing"):
        theirs, ours = getattr(made_on, field), getattr(here, field)
        if theirs != ours:
            raise ValueError(
                f"the {noun} was made on a model with {field} {theirs!r}, this one has "
                f"{ours!r}. If you mean it, use {noun}.rebind(model)"
            )


def rebound(provenance: Provenance, model: HookedModel) -> Provenance:
    """The record of something declared to belong to `model`; where it was made is kept within."""
    made_on = None if provenance.model is None else provenance.model.name
    return replace(provenance.derived("rebound", made_on=made_on), model=record_of(model))


# ---- Files ----


def to_record(artifact: Artifact) -> dict[str, str]:
    """Its layers, label and provenance as the text that a file keeps."""
    return {
        "layers": ",".join(map(str, artifact.layers)),
        "label": artifact.label,
        "provenance": artifact.provenance.to_json(),
    }


def from_record(
    record: Mapping[str, str], values: Float[Tensor, "*rank d_model"]
) -> tuple[tuple[int, ...], Provenance, str]:
    """Layers, provenance and label that `to_record` wrote.

    Raises KeyError or ValueError for a damaged record, ValueError where `values` are not as wide
    as the model that they were made on.
    """
    layers = tuple(int(layer) for layer in record["layers"].split(","))
    provenance = Provenance.from_json(record["provenance"])
    made_on = provenance.model
    if made_on is not None and made_on.d_model != values.shape[-1]:
        held = "x".join(map(str, values.shape))
        raise ValueError(f"it holds {held} values, its model is {made_on.d_model} wide")
    return layers, provenance, record.get("label", "")


def write_tensors(
    path: str | Path, schema: str, tensors: Mapping[str, Tensor], record: Mapping[str, str]
) -> Path:
    """Write a safetensors file with `record` in its metadata, whole or not at all."""
    with written_whole(path) as part:
        save_file(
            {name: tensor.contiguous() for name, tensor in tensors.items()},
            part,
            metadata={"schema": schema, **record, DIGEST: digest(tensors, record)},
        )
    return Path(path)


def digest(tensors: Mapping[str, Tensor], record: Mapping[str, str]) -> str:
    """A SHA-256 of tensors and texts by their names: a flipped bit on a disk is seen."""
    found = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        held = tensor.detach().cpu().contiguous()
        found.update(f"{name} {held.dtype} {tuple(held.shape)}\n".encode())
        found.update(held.flatten().view(torch.uint8).numpy().tobytes())
    for name, text in sorted(record.items()):
        found.update(f"{name} {text}\n".encode())
    return found.hexdigest()


def read_tensors(
    path: str | Path, schema: str, what: str
) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors and the metadata that `write_tensors` wrote; nothing is ever executed.

    Raises FileNotFoundError, and ValueError for a file that is cut short or of another schema, or
    whose contents are not those that were written.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"there is no {what} file at {path}")
    try:
        with safe_open(path, framework="pt") as file:
            record = dict(file.metadata() or {})
            names = list(file.keys())
            ours = record.get("schema") == schema  # a foreign file may be large: left unread
            tensors = {name: file.get_tensor(name) for name in names} if ours else {}
    except SafetensorError as error:
        raise ValueError(
            f"{path} is cut short or not a safetensors file ({error}); save it again"
        ) from error
    if not ours:
        shown = f"{names[:5]} and {len(names) - 5} more" if len(names) > 5 else names
        raise ValueError(
            f"{path} is no {what} file of schema {schema!r}: it says {record.get('schema')!r} and "
            f"holds {shown}"
        )
    written = record.pop(DIGEST, None)  # files of the first versions have none
    told = {name: text for name, text in record.items() if name != "schema"}
    # A digest under another name: a flipped bit has changed the name.
    renamed = written is None and any(_DIGEST_LIKE.fullmatch(text) for text in told.values())
    if renamed or (written is not None and written != digest(tensors, told)):
        raise ValueError(f"{path} is damaged: it is not what was written; save it again")
    return tensors, record


@contextmanager
def refusing_damage(path: str | Path, what: str) -> Iterator[None]:
    """Turn whatever goes wrong while a file's contents are read into a ValueError that names it."""
    try:
        yield
    except (AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
        missing = "it has no " if isinstance(error, KeyError) else ""
        raise ValueError(f"{path} holds a damaged {what}: {missing}{error}") from error
