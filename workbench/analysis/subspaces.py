"""Sets of vectors as subspaces: their spectrum, the angles between two, and to named directions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float
from scipy.linalg import subspace_angles
from torch import Tensor

from workbench.analysis.geometry import VectorLike, random_band, rows_of

DRAWS = 200


@dataclass(frozen=True, eq=False)
class Spectrum:
    """Principal components of a set of unit vectors, not centred.

    `shares` are the components' shares of the sum of squares; `effective_rank` is the exponential
    of their entropy (Roy & Vetterli 2007), `random_rank` what as many random directions of this
    width have on average (`random_low` to `random_high`: 95%). `coordinates` are the vectors on
    the components.
    """

    labels: tuple[str, ...]
    shares: Float[np.ndarray, " component"]
    coordinates: Float[np.ndarray, "vector component"]
    components: Float[np.ndarray, "component d_model"]
    effective_rank: float
    random_rank: float
    random_low: float
    random_high: float

    def to_frame(self) -> pd.DataFrame:
        """One row a component: component (from 1), share, cumulative."""
        return pd.DataFrame(
            {
                "component": range(1, len(self.shares) + 1),
                "share": self.shares,
                "cumulative": self.shares.cumsum(),
            }
        )


def spectrum(vectors: Iterable[VectorLike], seed: int = 0) -> Spectrum:
    """The spectrum of a set of vectors, each scaled to norm 1.

    Raises ValueError where there are fewer than two, or widths or layers differ.
    """
    labels, rows = rows_of(vectors)
    if len(rows) < 2:
        raise ValueError("a spectrum needs at least two vectors")
    left, values, right = np.linalg.svd(_unit(rows), full_matrices=False)
    generator = np.random.default_rng(seed)
    ranks = [
        _rank(np.linalg.svd(_unit(generator.standard_normal(rows.shape)), compute_uv=False))
        for _ in range(DRAWS)
    ]
    low, high = np.quantile(ranks, [0.025, 0.975])
    return Spectrum(
        labels,
        values**2 / (values**2).sum(),
        left * values,
        right,
        _rank(values),
        float(np.mean(ranks)),
        float(low),
        float(high),
    )


@dataclass(frozen=True, eq=False)
class SubspaceAngles:
    """Cosines of the principal angles between the spans of two sets, the largest first.

    `overlap` is the mean of their squares: 1 where one span holds the other, 0 where they are
    orthogonal. `random_overlap` is what random subspaces of these dimensions have: the smaller
    one's every direction falls with d/width of its square into the other, of dimension d.
    """

    cosines: Float[np.ndarray, " angle"]
    overlap: float
    random_overlap: float
    dimensions: tuple[int, int]

    def to_frame(self) -> pd.DataFrame:
        """One row an angle: angle (degrees), cosine."""
        return pd.DataFrame(
            {"angle": np.degrees(np.arccos(np.clip(self.cosines, -1, 1))), "cosine": self.cosines}
        )


def principal_angles(one: Iterable[VectorLike], other: Iterable[VectorLike]) -> SubspaceAngles:
    """The principal angles between the spans of two sets of vectors of one layer.

    Raises ValueError for vectors of different widths or layers.
    """
    first, second = list(one), list(other)
    rows_of([*first, *second])  # one width, one layer
    spans = [_unit(rows_of(each)[1]).T for each in (first, second)]
    ranks = [int(np.linalg.matrix_rank(span)) for span in spans]
    bases = [
        np.linalg.svd(span, full_matrices=False)[0][:, :rank]
        for span, rank in zip(spans, ranks, strict=True)
    ]
    cosines = np.sort(np.cos(subspace_angles(*bases)))[::-1]
    width = spans[0].shape[0]
    return SubspaceAngles(
        cosines,
        float((cosines**2).mean()),
        max(ranks) / width,
        (ranks[0], ranks[1]),
    )


def angles_to(
    vectors: Iterable[VectorLike],
    directions: Mapping[str, Float[Tensor, " d_model"]],
    covariance: Float[Tensor, "d_model d_model"] | None = None,
) -> pd.DataFrame:
    """One row a vector and direction: vector, direction, cosine, low, high, beyond.

    Low and high: 95% of the cosines of random vectors, drawn with the activations' `covariance`
    where it is given; `beyond` says that the cosine lies outside. Directions may be a refusal
    direction, a mean activation, or rows of an unembedding. Raises ValueError for one of another
    width, or one that is zero.
    """
    labels, rows = rows_of(vectors)
    found = []
    for name, direction in directions.items():
        other = direction.detach().cpu().double().numpy()
        if other.shape != rows.shape[1:] or not other.any():
            raise ValueError(
                f"the direction {name!r} must be {rows.shape[1]} numbers that are not all zero; "
                f"it has shape {other.shape}"
            )
        band = random_band(rows.shape[1], covariance=covariance, against=direction)
        for label, cosine in zip(
            labels, _unit(rows) @ (other / np.linalg.norm(other)), strict=True
        ):
            found.append(
                {
                    "vector": label,
                    "direction": name,
                    "cosine": float(cosine),
                    "low": band.low,
                    "high": band.high,
                    "beyond": not band.low <= cosine <= band.high,
                }
            )
    return pd.DataFrame(found)


def _unit(rows: Float[np.ndarray, "vector d_model"]) -> Float[np.ndarray, "vector d_model"]:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def _rank(values: Float[np.ndarray, " component"]) -> float:
    shares = values**2 / (values**2).sum()
    shares = shares[shares > 0]
    return float(np.exp(-(shares * np.log(shares)).sum()))
