"""The affine map `x -> x + M x + v` of low rank: kept as a thing of its own, and applied.

It is the paper's affine mode (Dunefsky & Cohan, arXiv 2502.18862): `M = leftᵀ right`, with factors
of shape (rank, d_model). Rank one without a vector is its `x -> x + v uᵀx`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import pad

from workbench.models.hooked import HookedModel, device_of
from workbench.steering import artifact, operators
from workbench.steering.interventions import ByRow, HookFunction, Numbers
from workbench.steering.positions import Positions
from workbench.steering.provenance import Provenance
from workbench.steering.vector import SteeringVector

SCHEMA = "steering-workbench/affine-map/1"


@dataclass(frozen=True, eq=False)
class AffineMap:
    """`M x + v` on `resid_pre` of its layers, `M = leftᵀ right`; without a vector, `M x` alone.

    Factors are (rank, d_model), kept in float32 on the CPU. Raises ValueError for factors that
    are not finite or not of one shape, and for a vector of another width or other layers.
    """

    left: Float[Tensor, "rank d_model"]
    right: Float[Tensor, "rank d_model"]
    vector: SteeringVector | None
    layers: tuple[int, ...]
    provenance: Provenance
    label: str

    def __init__(
        self,
        left: Float[Tensor, "rank d_model"],
        right: Float[Tensor, "rank d_model"],
        vector: SteeringVector | None = None,
        layers: int | Sequence[int] | None = None,
        provenance: Provenance = Provenance("by hand"),
        label: str = "",
    ):
        """The layers are one index or several; where there is a vector they may be left to it."""
        if layers is None:
            if vector is None:
                raise ValueError("an affine map without a vector needs layers")
            layers = vector.layers
        fields = {
            "left": artifact.own_values(left),
            "right": artifact.own_values(right),
            "vector": vector,
            "layers": artifact.checked_layers(layers),
            "provenance": provenance,
            "label": label,
        }
        for name, value in fields.items():
            object.__setattr__(self, name, value)
        self._check()

    def _check(self) -> None:
        shapes = tuple(self.left.shape), tuple(self.right.shape)
        if shapes[0] != shapes[1] or self.left.ndim != 2 or self.left.numel() == 0:
            raise ValueError(
                f"both factors must be of one shape, (rank, d_model); got {shapes[0]} and "
                f"{shapes[1]}"
            )
        artifact.check_finite(self.left, "left factor")
        artifact.check_finite(self.right, "right factor")
        if self.vector is None:
            return
        if self.vector.d_model != self.d_model:
            raise ValueError(
                f"the factors are {self.d_model} wide, the vector is {self.vector.d_model} wide "
                "(axis d_model)"
            )
        if set(self.vector.layers) != set(self.layers):
            raise ValueError(
                f"the map acts on layers {self.layers}, its vector on {self.vector.layers}"
            )

    @property
    def rank(self) -> int:
        """How many rows its factors have."""
        return self.left.shape[0]

    @property
    def d_model(self) -> int:
        """The width of the residual stream that it acts on."""
        return self.left.shape[1]

    def labelled(self, label: str) -> AffineMap:
        """The same map under a name that figures and tables show."""
        return replace(self, label=label)

    # ---- The model it belongs to ----

    def check_model(self, model: HookedModel) -> None:
        """Raise ValueError unless the map, with its vector, fits `model` and was made on it."""
        artifact.check_belongs(self, model, "map")
        if self.vector is not None:
            self.vector.check_model(model)

    def rebind(self, model: HookedModel) -> AffineMap:
        """The same map, declared to belong to `model`: for transfer between models."""
        vector = None if self.vector is None else self.vector.rebind(model)
        provenance = artifact.rebound(self.provenance, model)
        bound = replace(self, vector=vector, provenance=provenance)
        bound.check_model(model)
        return bound

    # ---- Files ----

    def save(self, path: str | Path) -> Path:
        """Write a safetensors file with the provenance in its metadata, whole or not at all."""
        return artifact.write_tensors(path, SCHEMA, *self.to_parts())

    @classmethod
    def load(cls, path: str | Path) -> AffineMap:
        """Read what `save` wrote; nothing in the file is ever executed.

        Raises FileNotFoundError, and ValueError for a file that is cut short, is no map of ours,
        is of a newer schema, or whose values are not finite.
        """
        tensors, record = artifact.read_tensors(path, SCHEMA, "affine map")
        with artifact.refusing_damage(path, "affine map"):
            return cls.from_parts(tensors, record)

    def to_parts(self) -> tuple[dict[str, Tensor], dict[str, str]]:
        """What a file keeps of it: its tensors, and the rest as text."""
        tensors, record = {"left": self.left, "right": self.right}, artifact.to_record(self)
        if self.vector is not None:
            held, about = self.vector.to_parts()
            tensors["vector"], record["vector"] = held["values"], json.dumps(about)
        return tensors, record

    @classmethod
    def from_parts(cls, tensors: Mapping[str, Tensor], record: Mapping[str, str]) -> AffineMap:
        """Put together what `to_parts` gave. Raises KeyError or ValueError for anything else."""
        vector = None
        if "vector" in record or "vector" in tensors:
            held = {"values": tensors["vector"]}
            vector = SteeringVector.from_parts(held, json.loads(record["vector"]))
        left, right = tensors["left"], tensors["right"]
        return cls(left, right, vector, *artifact.from_record(record, left))

    def __repr__(self) -> str:
        name = f"{self.label!r}, " if self.label else ""
        norm = "no vector" if self.vector is None else f"vector norm={self.vector.norm:.2f}"
        made_on = self.provenance.model.name if self.provenance.model else "no model"
        return (
            f"AffineMap({name}layers={self.layers}, rank={self.rank}, {norm}, "
            f"method={self.provenance.method!r}, model={made_on!r})"
        )


@dataclass(frozen=True, eq=False)
class Affine(ByRow[AffineMap]):
    """`x -> x + scale·(M x + v)` at the map's layers; several maps or scales go row by row.

    The matrix sees x itself, never x + v. The scale is a plain factor of both terms: 1 is the map
    as it was made, 0 leaves the stream alone.
    """

    map: AffineMap | Sequence[AffineMap | None]
    scale: Numbers = 1.0
    positions: Positions | Tensor = Positions.all()
    acts_with = "map"
    strength = "scale"

    def _function(self, model: HookedModel) -> HookFunction:
        left, right, vector = (part.to(device_of(model)) for part in self._parts())
        strength = self._strengths(model)
        left, vector = left * strength, vector * strength
        return lambda resid, hook: operators.affine(resid, left, right, vector)

    def _parts(
        self,
    ) -> tuple[
        Float[Tensor, "*batch rank d_model"],
        Float[Tensor, "*batch rank d_model"],
        Float[Tensor, "*rows d_model"],
    ]:
        """Both factors and the vector, with the axis `batch` where each row has its own.

        Maps of lower rank get rows of zeros, rows without a map and maps without a vector zeros.
        """
        width, rank = self._given[0].d_model, max(one.rank for one in self._given)
        blank = AffineMap(torch.zeros(rank, width), torch.zeros(rank, width), layers=0)
        maps = [blank if one is None else one for one in self.each]
        added = [one.vector.values if one.vector else torch.zeros(width) for one in maps]
        if not self.by_row:
            return maps[0].left, maps[0].right, added[0]
        left = torch.stack([_of_rank(one.left, rank) for one in maps])
        right = torch.stack([_of_rank(one.right, rank) for one in maps])
        return left, right, torch.stack(added)[:, None]


def _of_rank(factor: Float[Tensor, "rows d_model"], rank: int) -> Float[Tensor, "rank d_model"]:
    """The factor with rows of zeros after its own."""
    return pad(factor, (0, 0, 0, rank - len(factor)))
