"""The steering vector: a direction in the residual stream, its layer, and where it comes from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from workbench.models.hooked import HookedModel
from workbench.steering import artifact
from workbench.steering.provenance import Provenance

SCHEMA = "steering-workbench/vector/1"


@dataclass(frozen=True, eq=False)
class SteeringVector:
    """A direction in the residual stream, `d_model` long, that acts on `resid_pre[layer]`.

    `layer` may be several layers that share the vector. Values are kept in float32 on the CPU.
    Raises ValueError for values that are not one finite row of numbers.
    """

    values: Float[Tensor, " d_model"]
    layer: int | tuple[int, ...]
    provenance: Provenance = Provenance("by hand")
    label: str = ""

    def __post_init__(self) -> None:
        values = artifact.own_values(self.values)
        if values.ndim != 1 or values.numel() == 0:
            raise ValueError(
                f"a steering vector is one row, d_model long; got shape {tuple(values.shape)}"
            )
        artifact.check_finite(values, "vector")
        object.__setattr__(self, "values", values)
        layers = artifact.checked_layers(self.layer)
        object.__setattr__(self, "layer", layers[0] if len(layers) == 1 else layers)

    # ---- What it is ----

    @property
    def layers(self) -> tuple[int, ...]:
        """The layers that it acts on."""
        return self.layer if isinstance(self.layer, tuple) else (self.layer,)

    @property
    def d_model(self) -> int:
        """Its length."""
        return self.values.numel()

    @property
    def norm(self) -> float:
        """Its Euclidean norm."""
        return float(self.values.norm())

    def normalized(self, norm: int | float = 1.0) -> SteeringVector:
        """The same direction at another norm. Raises ValueError for the zero vector."""
        if self.norm == 0:
            raise ValueError("the zero vector has no direction to normalize")
        return self._derived(self.values * (norm / self.norm), "normalized", norm=norm)

    def cosine(self, other: SteeringVector) -> float:
        """The cosine of the angle between two vectors, whatever their layers."""
        self._check_width(other)
        return float(
            torch.nn.functional.cosine_similarity(
                self.values.double(), other.values.double(), dim=0, eps=0.0
            )
        )

    # ---- Arithmetic ----

    def __add__(self, other: SteeringVector) -> SteeringVector:
        return self._combined(other, self.values + self._same_place(other).values, "sum")

    def __sub__(self, other: SteeringVector) -> SteeringVector:
        return self._combined(other, self.values - self._same_place(other).values, "difference")

    def __mul__(self, factor: int | float) -> SteeringVector:
        return self._derived(self.values * factor, "scaled", factor=float(factor))

    __rmul__ = __mul__

    def __truediv__(self, divisor: int | float) -> SteeringVector:
        return self._derived(self.values / divisor, "scaled", factor=1 / float(divisor))

    def __neg__(self) -> SteeringVector:
        return self * -1.0

    def _same_place(self, other: SteeringVector) -> SteeringVector:
        if not isinstance(other, SteeringVector):
            raise TypeError(f"a steering vector adds to another one, not to {type(other).__name__}")
        self._check_width(other)
        if self.layers != other.layers:
            raise ValueError(
                f"vectors of different layers cannot be added: {self.layer} and {other.layer}"
            )
        mine, theirs = self.provenance.model, other.provenance.model
        if mine is not None and theirs is not None and mine.name != theirs.name:
            raise ValueError(f"vectors of different models: {mine.name} and {theirs.name}")
        return other

    def _check_width(self, other: SteeringVector) -> None:
        if self.d_model != other.d_model:
            raise ValueError(
                f"vectors of different d_model cannot be compared: {self.d_model} and "
                f"{other.d_model}"
            )

    def _combined(
        self, other: SteeringVector, values: Float[Tensor, " d_model"], how: str
    ) -> SteeringVector:
        second = {"method": other.provenance.method, "config": dict(other.provenance.config)}
        return self._derived(values, how, other=second)

    def _derived(
        self, values: Float[Tensor, " d_model"], how: str, **config: object
    ) -> SteeringVector:
        return SteeringVector(values, self.layer, self.provenance.derived(how, **config))

    def labelled(self, label: str) -> SteeringVector:
        """The same vector under a name that figures and tables show."""
        return replace(self, label=label)

    # ---- The model it belongs to ----

    def check_model(self, model: HookedModel) -> None:
        """Raise ValueError unless the vector fits `model` and was made on it."""
        artifact.check_belongs(self, model, "vector")

    def rebind(self, model: HookedModel) -> SteeringVector:
        """The same values, declared to belong to `model`: for transfer between models."""
        bound = replace(self, provenance=artifact.rebound(self.provenance, model))
        bound.check_model(model)
        return bound

    # ---- Files ----

    def save(self, path: str | Path) -> Path:
        """Write a safetensors file with the provenance in its metadata, whole or not at all."""
        return artifact.write_tensors(path, SCHEMA, *self.to_parts())

    @classmethod
    def load(cls, path: str | Path) -> SteeringVector:
        """Read what `save` wrote; nothing in the file is ever executed.

        Raises FileNotFoundError, and ValueError for a file that is cut short, is no vector of
        ours, is of a newer schema, or whose values are not finite.
        """
        tensors, record = artifact.read_tensors(path, SCHEMA, "vector")
        with artifact.refusing_damage(path, "vector"):
            return cls.from_parts(tensors, record)

    def to_parts(self) -> tuple[dict[str, Tensor], dict[str, str]]:
        """What a file keeps of it: its tensors, and the rest as text."""
        return {"values": self.values}, artifact.to_record(self)

    @classmethod
    def from_parts(cls, tensors: Mapping[str, Tensor], record: Mapping[str, str]) -> SteeringVector:
        """Put together what `to_parts` gave. Raises KeyError or ValueError for anything else."""
        values = tensors["values"]
        return cls(values, *artifact.from_record(record, values))

    def __repr__(self) -> str:
        name = f"{self.label!r}, " if self.label else ""
        made_on = self.provenance.model.name if self.provenance.model else "no model"
        return (
            f"SteeringVector({name}layer={self.layer}, norm={self.norm:.2f}, "
            f"method={self.provenance.method!r}, model={made_on!r})"
        )


def stacked(vectors: Sequence[SteeringVector]) -> Float[Tensor, "vector d_model"]:
    """The values of several vectors of one width as rows."""
    widths = sorted({vector.d_model for vector in vectors})
    if len(widths) > 1:
        raise ValueError(f"vectors of different d_model cannot be stacked: {widths}")
    return torch.stack([vector.values for vector in vectors])
