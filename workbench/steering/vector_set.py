"""Several vectors as one thing: load a folder, choose by provenance, stack, tabulate."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

import pandas as pd
from jaxtyping import Float
from torch import Tensor

from workbench.files import many_written
from workbench.steering.vector import SteeringVector, stacked


@dataclass(frozen=True, eq=False)
class VectorSet:
    """An ordered set of steering vectors of one width."""

    vectors: tuple[SteeringVector, ...]

    def __init__(self, vectors: Iterable[SteeringVector]):
        object.__setattr__(self, "vectors", tuple(vectors))
        if not self.vectors:
            raise ValueError("a vector set needs at least one vector")
        stacked(self.vectors)  # raises where widths differ

    @classmethod
    def load(cls, folder: str | Path) -> VectorSet:
        """Every `*.safetensors` vector in a folder, by name; file names serve as labels.

        Raises FileNotFoundError for a folder without any, ValueError for a damaged one.
        """
        paths = sorted(Path(folder).glob("*.safetensors"))
        if not paths:
            raise FileNotFoundError(f"there are no vector files (*.safetensors) in {folder}")
        vectors = (SteeringVector.load(path) for path in paths)
        return cls(
            vector if vector.label else vector.labelled(path.stem)
            for path, vector in zip(paths, vectors, strict=True)
        )

    def save(self, folder: str | Path) -> list[Path]:
        """One file a vector, named by its label; a number is put before it to keep the order."""
        digits = max(3, len(str(len(self) - 1)))
        with many_written():
            return [
                vector.save(Path(folder) / f"{i:0{digits}d}_{_file_name(vector.label)}.safetensors")
                for i, vector in enumerate(self.vectors)
            ]

    def where(
        self, choose: Callable[[SteeringVector], bool] | None = None, **provenance: Any
    ) -> VectorSet:
        """The vectors for which `choose` is true and whose provenance has these values.

        Fields of the provenance, `layer` and `label` are looked up by name, then keys of its
        configuration: `vectors.where(method="one-shot", layer=10, learning_rate=0.1)`.
        """
        kept = [
            vector
            for vector in self.vectors
            if (choose is None or choose(vector))
            and all(_field(vector, name) == value for name, value in provenance.items())
        ]
        if not kept:
            raise ValueError(f"none of the {len(self)} vectors has {provenance or 'what you ask'}")
        return VectorSet(kept)

    def stack(self) -> Float[Tensor, "vector d_model"]:
        """All values, one row a vector."""
        return stacked(self.vectors)

    def to_frame(self) -> pd.DataFrame:
        """One row a vector: label, layer, norm, method, model, seed, and what came of it."""
        return pd.DataFrame(
            {
                "label": vector.label,
                "layer": vector.layer,
                "norm": vector.norm,
                "method": vector.provenance.method,
                "model": vector.provenance.model.name if vector.provenance.model else None,
                "seed": vector.provenance.seed,
                **{k: v for k, v in vector.provenance.results.items() if not isinstance(v, list)},
            }
            for vector in self.vectors
        )

    def __len__(self) -> int:
        return len(self.vectors)

    def __iter__(self) -> Iterator[SteeringVector]:
        return iter(self.vectors)

    @overload
    def __getitem__(self, index: int) -> SteeringVector: ...
    @overload
    def __getitem__(self, index: slice) -> VectorSet: ...
    def __getitem__(self, index: int | slice) -> SteeringVector | VectorSet:
        return VectorSet(self.vectors[index]) if isinstance(index, slice) else self.vectors[index]


def _file_name(label: str) -> str:
    """The label as far as file systems take it: names end at 255 bytes, and more is put around."""
    named = "".join(c if c.isalnum() or c in "-_" else "-" for c in label)
    return named.encode()[:120].decode(errors="ignore") or "vector"


def _field(vector: SteeringVector, name: str) -> Any:
    if name in ("layer", "label"):
        return getattr(vector, name)
    if hasattr(vector.provenance, name):
        return getattr(vector.provenance, name)
    return vector.provenance.config.get(name)
