"""Cosine geometry: how the directions of several vectors relate."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import numpy as np
import pandas as pd
from jaxtyping import Float
from torch import Tensor


@runtime_checkable
class VectorLike(Protocol):
    """What geometry asks of a vector; `workbench.steering.SteeringVector` has it."""

    @property
    def values(self) -> Float[Tensor, " d_model"]: ...

    @property
    def layer(self) -> int | tuple[int, ...]: ...

    @property
    def label(self) -> str: ...


@dataclass(frozen=True)
class RandomBand:
    """The cosine of two random directions: its central interval and its mean size."""

    low: float
    high: float
    mean_abs: float
    confidence: float = 0.95


@dataclass(frozen=True, eq=False)
class CosineGeometry:
    """Cosines between every two vectors, with what two random vectors would show.

    `matrix`, `labels`, `norms` and `layers` are in the order given; `order` lists the indices in
    the order to show (the leaves' order where clustered, else as given). `linkage` is scipy's
    linkage matrix of average linkage on 1 - cosine, None where not clustered.
    """

    matrix: Float[np.ndarray, "n n"]
    labels: tuple[str, ...]
    norms: tuple[float, ...]
    layers: tuple[int | tuple[int, ...], ...]
    d_model: int
    random: RandomBand
    order: tuple[int, ...]
    linkage: Float[np.ndarray, "n_minus_1 4"] | None = None

    def to_frame(self) -> pd.DataFrame:
        """One row a pair of different vectors: a, b, cosine, same_layer."""
        n = len(self.labels)
        rows = [
            (
                self.labels[i],
                self.labels[j],
                float(self.matrix[i, j]),
                self.layers[i] == self.layers[j],
            )
            for i in range(n)
            for j in range(i + 1, n)
        ]
        return pd.DataFrame(rows, columns=["a", "b", "cosine", "same_layer"])


def cosine_geometry(
    vectors: Iterable[VectorLike],
    labels: Sequence[str] | None = None,
    order: Literal["given", "clustered"] = "given",
    *,
    across_layers: bool = False,
) -> CosineGeometry:
    """Compute the cosines between every two of the vectors, in float64.

    Labels default to the vectors' own; empty ones become "vector i", and repeated ones get a
    number. Vectors of different layers live in different bases, so they are refused unless
    `across_layers` says that they should be compared all the same.
    """
    vectors = list(vectors)
    if not vectors:
        raise ValueError("there are no vectors to compare")
    if order not in ("given", "clustered"):
        raise ValueError(f'order must be "given" or "clustered", got {order!r}')
    if labels is not None and len(labels) != len(vectors):
        raise ValueError(f"{len(labels)} labels for {len(vectors)} vectors")
    given = [vector.label for vector in vectors] if labels is None else list(labels)
    names = _unique([label or f"vector {i}" for i, label in enumerate(given, 1)])

    rows = [_row(vector, name) for vector, name in zip(vectors, names, strict=True)]
    widths = {len(row) for row in rows}
    if len(widths) > 1:
        listing = ", ".join(f"{name!r}: {len(row)}" for name, row in zip(names, rows, strict=True))
        raise ValueError(f"the vectors have different widths ({listing})")
    layers = tuple(_layer(vector) for vector in vectors)
    if len(set(layers)) > 1 and not across_layers:
        listing = ", ".join(str(layer) for layer in dict.fromkeys(layers))
        raise ValueError(
            f"the vectors belong to different layers ({listing}), whose bases need not agree; "
            "pass across_layers=True to compare them all the same"
        )

    stacked: Float[np.ndarray, "n d_model"] = np.stack(rows)
    norms = np.linalg.norm(stacked, axis=1)
    unit = stacked / norms[:, None]
    matrix = np.clip(unit @ unit.T, -1.0, 1.0)
    matrix = (matrix + matrix.T) / 2
    np.fill_diagonal(matrix, 1.0)
    linkage, shown = None, tuple(range(len(names)))
    if order == "clustered" and len(names) > 1:
        linkage, shown = _cluster(matrix)
        linkage.setflags(write=False)
    matrix.setflags(write=False)
    d_model = stacked.shape[1]
    return CosineGeometry(
        matrix=matrix,
        labels=names,
        norms=tuple(float(norm) for norm in norms),
        layers=layers,
        d_model=d_model,
        random=random_band(d_model),
        order=shown,
        linkage=linkage,
    )


def random_band(d_model: int, confidence: float = 0.95) -> RandomBand:
    """Give the exact law of the cosine of two independent Gaussian vectors of this width.

    (1 + cos) / 2 ~ Beta((d-1)/2, (d-1)/2); E|cos| = Γ(d/2) / (√π Γ((d+1)/2)).
    """
    if d_model < 2:
        raise ValueError(f"random directions need at least two dimensions, got {d_model}")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie between 0 and 1, got {confidence}")
    from scipy.stats import beta

    shape = (d_model - 1) / 2
    high = 2 * float(beta.ppf((1 + confidence) / 2, shape, shape)) - 1
    log_mean = math.lgamma(d_model / 2) - math.lgamma((d_model + 1) / 2)
    mean_abs = math.exp(log_mean) / math.sqrt(math.pi)
    return RandomBand(low=-high, high=high, mean_abs=mean_abs, confidence=confidence)


def _row(vector: VectorLike, name: str) -> Float[np.ndarray, " d_model"]:
    """The vector's values in float64, refused where they have no direction."""
    values = vector.values.detach().cpu().double().numpy()
    if values.ndim != 1:
        raise ValueError(f"the vector {name!r} has shape {values.shape}, not (d_model,)")
    if not np.isfinite(values).all():
        raise ValueError(f"the vector {name!r} has values that are not finite")
    if not values.any():
        raise ValueError(f"the vector {name!r} is zero and has no direction")
    return values


def _layer(vector: VectorLike) -> int | tuple[int, ...]:
    """The vector's layer; a tuple of one is that one."""
    layer = vector.layer
    if isinstance(layer, int):
        return layer
    return layer[0] if len(layer) == 1 else tuple(layer)


def _unique(names: Sequence[str]) -> tuple[str, ...]:
    """The names with " (2)", " (3)" added to those that repeat an earlier one."""
    taken: set[str] = set()
    unique = []
    for name in names:
        candidate, count = name, 1
        while candidate in taken:
            count += 1
            candidate = f"{name} ({count})"
        taken.add(candidate)
        unique.append(candidate)
    return tuple(unique)


def _cluster(
    matrix: Float[np.ndarray, "n n"],
) -> tuple[Float[np.ndarray, "n_minus_1 4"], tuple[int, ...]]:
    """Average linkage on 1 - cosine, its leaves turned so that neighbours are alike."""
    from scipy.cluster.hierarchy import leaves_list, linkage
    from scipy.spatial.distance import squareform

    distances = squareform(np.maximum(1 - matrix, 0.0), checks=False)
    tree = linkage(distances, method="average", optimal_ordering=True)
    return tree, tuple(int(leaf) for leaf in leaves_list(tree))
