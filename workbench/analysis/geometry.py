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

DRAWS = 4000  # of random vectors with a covariance


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
    covariance: Float[Tensor, "d_model d_model"] | None = None,
) -> CosineGeometry:
    """Compute the cosines between every two of the vectors, in float64.

    Labels default to the vectors' own; empty ones become "vector i", and repeated ones get a
    number. Vectors of different layers live in different bases, so they are refused unless
    `across_layers` says that they should be compared all the same. With the activations'
    `covariance` (see `moments`) the random band is of vectors drawn with it, the stricter null.
    """
    if order not in ("given", "clustered"):
        raise ValueError(f'order must be "given" or "clustered", got {order!r}')
    vectors = list(vectors)
    names, stacked = rows_of(vectors, labels, across_layers=across_layers)
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
        layers=tuple(_layer(vector) for vector in vectors),
        d_model=d_model,
        random=random_band(d_model, covariance=covariance),
        order=shown,
        linkage=linkage,
    )


def rows_of(
    vectors: Iterable[VectorLike],
    labels: Sequence[str] | None = None,
    *,
    across_layers: bool = False,
) -> tuple[tuple[str, ...], Float[np.ndarray, "vector d_model"]]:
    """The vectors' names, no two alike, and their values in float64.

    Raises ValueError where there are none, where widths or layers differ (unless `across_layers`),
    and for vectors without a direction.
    """
    vectors = list(vectors)
    if not vectors:
        raise ValueError("there are no vectors to compare")
    if labels is not None and len(labels) != len(vectors):
        raise ValueError(f"{len(labels)} labels for {len(vectors)} vectors")
    given = [vector.label for vector in vectors] if labels is None else list(labels)
    names = _unique([label or f"vector {i}" for i, label in enumerate(given, 1)])

    rows = [_row(vector, name) for vector, name in zip(vectors, names, strict=True)]
    widths = {len(row) for row in rows}
    if len(widths) > 1:
        listing = ", ".join(f"{name!r}: {len(row)}" for name, row in zip(names, rows, strict=True))
        raise ValueError(f"the vectors have different widths ({listing})")
    layers = dict.fromkeys(_layer(vector) for vector in vectors)
    if len(layers) > 1 and not across_layers:
        raise ValueError(
            f"the vectors belong to different layers ({', '.join(map(str, layers))}), whose bases "
            "need not agree; pass across_layers=True to compare them all the same"
        )
    return names, np.stack(rows)


def random_band(
    d_model: int,
    confidence: float = 0.95,
    *,
    covariance: Float[Tensor, "d_model d_model"] | None = None,
    against: Float[Tensor, " d_model"] | None = None,
) -> RandomBand:
    """The cosine of two random vectors of this width, or of one with the direction `against`.

    Gaussian ones have an exact law, whatever they are held against:
    (1 + cos) / 2 ~ Beta((d-1)/2, (d-1)/2); E|cos| = Γ(d/2) / (√π Γ((d+1)/2)). Vectors with the
    activations' `covariance` share its large directions; for these, pairs are drawn.
    """
    if d_model < 2:
        raise ValueError(f"random directions need at least two dimensions, got {d_model}")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie between 0 and 1, got {confidence}")
    if covariance is not None:
        return _drawn_band(d_model, confidence, covariance, against)
    from scipy.stats import beta

    shape = (d_model - 1) / 2
    high = 2 * float(beta.ppf((1 + confidence) / 2, shape, shape)) - 1
    log_mean = math.lgamma(d_model / 2) - math.lgamma((d_model + 1) / 2)
    mean_abs = math.exp(log_mean) / math.sqrt(math.pi)
    return RandomBand(low=-high, high=high, mean_abs=mean_abs, confidence=confidence)


def _drawn_band(
    d_model: int, confidence: float, covariance: Tensor, against: Tensor | None
) -> RandomBand:
    if tuple(covariance.shape) != (d_model, d_model):
        raise ValueError(f"the covariance is {tuple(covariance.shape)}, the width {d_model}")
    values, vectors = np.linalg.eigh(covariance.detach().cpu().double().numpy())
    root = vectors * np.sqrt(values.clip(min=0))
    generator = np.random.default_rng(0)
    drawn = [generator.standard_normal((DRAWS, d_model)) @ root.T for _ in range(2)]
    if against is not None:
        drawn[1] = against.detach().cpu().double().numpy()[None]
    units = [each / np.linalg.norm(each, axis=1, keepdims=True) for each in drawn]
    cosines = (units[0] * units[1]).sum(axis=1)
    low, high = np.quantile(cosines, [(1 - confidence) / 2, (1 + confidence) / 2])
    return RandomBand(float(low), float(high), float(np.abs(cosines).mean()), confidence)


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
