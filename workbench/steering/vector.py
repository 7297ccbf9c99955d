"""The steering vector: a direction in the residual stream, its layer, and where it comes from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from jaxtyping import Float
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from workbench.files import written_whole
from workbench.models.hooked import HookedModel, d_model, n_layers
from workbench.models.identity import record_of
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
        values = torch.as_tensor(self.values).detach().to("cpu", torch.float32).clone()
        if values.ndim != 1 or values.numel() == 0:
            raise ValueError(
                f"a steering vector is one row, d_model long; got shape {tuple(values.shape)}"
            )
        if not values.isfinite().all():
            bad = (~values.isfinite()).nonzero().flatten().tolist()
            raise ValueError(f"the vector has NaN or infinite values, the first at index {bad[0]}")
        object.__setattr__(self, "values", values)
        layer = self.layer if isinstance(self.layer, int) else tuple(int(i) for i in self.layer)
        if isinstance(layer, tuple) and len(layer) == 1:
            layer = layer[0]
        object.__setattr__(self, "layer", layer)
        if not self.layers or min(self.layers) < 0 or len(set(self.layers)) < len(self.layers):
            raise ValueError(f"layer must be one index, or several distinct ones; got {self.layer}")

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
        if self.d_model != d_model(model):
            raise ValueError(
                f"the vector is {self.d_model} wide, but the model's residual stream is "
                f"{d_model(model)} wide (axis d_model)"
            )
        if max(self.layers) >= n_layers(model):
            raise ValueError(
                f"the vector acts on layer {max(self.layers)}, but the model's last layer is "
                f"{n_layers(model) - 1}"
            )
        made_on, here = self.provenance.model, record_of(model)
        if made_on is None:
            return
        for field in ("name", "weight_processing"):
            theirs, ours = getattr(made_on, field), getattr(here, field)
            if theirs != ours:
                raise ValueError(
                    f"the vector was made on a model with {field} {theirs!r}, this one has "
                    f"{ours!r}. If you mean it, use vector.rebind(model)"
                )

    def rebind(self, model: HookedModel) -> SteeringVector:
        """The same values, declared to belong to `model`: for transfer between models."""
        made_on = None if self.provenance.model is None else self.provenance.model.name
        provenance = self.provenance.derived("rebound", made_on=made_on)
        bound = replace(self, provenance=replace(provenance, model=record_of(model)))
        bound.check_model(model)
        return bound

    # ---- Files ----

    def save(self, path: str | Path) -> Path:
        """Write a safetensors file with the provenance in its metadata, whole or not at all."""
        metadata = {
            "schema": SCHEMA,
            "layers": ",".join(map(str, self.layers)),
            "label": self.label,
            "provenance": self.provenance.to_json(),
        }
        with written_whole(path) as part:
            save_file({"values": self.values.contiguous()}, part, metadata=metadata)
        return Path(path)

    @classmethod
    def load(cls, path: str | Path) -> SteeringVector:
        """Read what `save` wrote; nothing in the file is ever executed.

        Raises FileNotFoundError, and ValueError for a file that is cut short, is no vector of
        ours, is of a newer schema, or whose values are not finite.
        """
        if not Path(path).is_file():
            raise FileNotFoundError(f"there is no vector file at {path}")
        try:
            with safe_open(path, framework="pt") as file:
                metadata = file.metadata() or {}
                names = list(file.keys())
                values = file.get_tensor("values") if names == ["values"] else None
        except SafetensorError as error:
            raise ValueError(
                f"{path} is cut short or not a safetensors file ({error}); save the vector again"
            ) from error
        if metadata.get("schema") != SCHEMA or values is None:
            raise ValueError(
                f"{path} is not a steering vector of schema {SCHEMA!r}: it says "
                f"{metadata.get('schema')!r} and holds {names}"
            )
        try:
            layers = tuple(int(layer) for layer in metadata["layers"].split(","))
            provenance = Provenance.from_json(metadata["provenance"])
            made_on = provenance.model
            if made_on is not None and made_on.d_model != values.numel():
                raise ValueError(
                    f"it holds {values.numel()} values, its model is {made_on.d_model} wide"
                )
            return cls(values, layers, provenance, metadata.get("label", ""))
        except (KeyError, ValueError) as error:
            raise ValueError(f"{path} holds a damaged vector: {error}") from error

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
