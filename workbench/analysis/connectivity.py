"""Mode connectivity: does the loss stay low between two vectors? (paper v1, section 4.3)

From vector i to vector j go points v(t) = (1 - t) v_i + t v_j, rescaled to the norm of v_i, as the
paper's code does. The loss is that of vector i's own examples, at coldness 1. A pair is connected
when no point's loss exceeds the worse of the two ends'. That is lenient: a path along which the
loss only rises is connected, so the shape of the losses stands beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float
from tqdm.auto import tqdm

from workbench.methods.one_shot import Example, losses_of
from workbench.models.hooked import HookedModel
from workbench.steering.vector import SteeringVector

POINTS = 20
_ANTIPODAL = -1 + 1e-6


@dataclass(frozen=True, eq=False)
class Connectivity:
    """Losses, in nats, along the path from each vector to each other one.

    `losses[i, j]` are those of the examples of vector i on the way to vector j; on the diagonal
    all are its own.
    """

    labels: tuple[str, ...]
    t: Float[np.ndarray, " point"]
    losses: Float[np.ndarray, "source target point"]

    @property
    def connected(self) -> Bool[np.ndarray, "source target"]:
        """Whether no point's loss exceeds the worse end's (by more than 1e-4 nats)."""
        ends = np.maximum(self.losses[:, :, 0], self.losses[:, :, -1])
        return self.losses.max(axis=2) <= ends + 1e-4

    @property
    def share(self) -> float:
        """The share of ordered pairs of different vectors that are connected."""
        return float(self.connected[self._different()].mean())

    def interval(self, resamples: int = 2000, seed: int = 0) -> tuple[float, float]:
        """A 95% bootstrap interval of the share, over vectors: pairs are not independent."""
        generator = np.random.default_rng(seed)
        n, connected, different = len(self.labels), self.connected, self._different()
        shares = []
        for _ in range(resamples):
            drawn = generator.integers(n, size=n)
            kept = different[np.ix_(drawn, drawn)]
            if kept.any():
                shares.append(connected[np.ix_(drawn, drawn)][kept].mean())
        low, high = np.quantile(shares, [0.025, 0.975])
        return float(low), float(high)

    def to_frame(self) -> pd.DataFrame:
        """One row an ordered pair: source, target, at_source, at_target, highest, connected.

        Also `barrier`: how far the highest loss lies over the worse end, in nats.
        """
        rows = []
        for i, j in zip(*np.nonzero(self._different()), strict=True):
            path = self.losses[i, j]
            worse = max(path[0], path[-1])
            rows.append(
                {
                    "source": self.labels[i],
                    "target": self.labels[j],
                    "at_source": float(path[0]),
                    "at_target": float(path[-1]),
                    "highest": float(path.max()),
                    "barrier": float(path.max() - worse),
                    "connected": bool(self.connected[i, j]),
                }
            )
        return pd.DataFrame(rows)

    def _different(self) -> Bool[np.ndarray, "source target"]:
        return ~np.eye(len(self.labels), dtype=bool)


def connectivity(
    model: HookedModel,
    vectors: Sequence[SteeringVector],
    examples: Sequence[Example | Sequence[Example]],
    *,
    points: int = POINTS,
    norm: Literal["first", "interpolated"] = "first",
    coldness: int | float = 1.0,
    progress: bool = False,
) -> Connectivity:
    """The losses along the paths between all ordered pairs of vectors.

    `examples` are those that each vector was trained on. `norm`: every point has the first vector's
    norm, or one between the two. Raises ValueError for fewer than two vectors or points, vectors of
    different layers, and antipodal pairs, whose path goes through zero.
    """
    given = list(vectors)
    if len(given) < 2 or points < 2:
        raise ValueError(f"{len(given)} vectors and {points} points: two of each at least")
    if len({vector.layers for vector in given}) > 1:
        raise ValueError("the vectors belong to different layers: there is no path between them")
    labels = [vector.label or f"vector {i}" for i, vector in enumerate(given, 1)]
    t = np.linspace(0, 1, points)
    losses = np.empty((len(given), len(given), points))
    for i, source in enumerate(tqdm(given, desc="paths", disable=not progress)):
        others = [j for j in range(len(given)) if j != i]
        path = [source]  # where every path from it begins
        for j in others:
            cosine = torch.cosine_similarity(source.values, given[j].values, dim=0)
            if cosine < _ANTIPODAL:
                raise ValueError(
                    f"{labels[i]!r} and {labels[j]!r} are antipodal: their path goes through zero"
                )
            path += [_between(source, given[j], float(at), norm) for at in t[1:]]
        own = losses_of(model, [examples[i]] * len(path), path, coldness=coldness)
        losses[i, :, 0] = losses[i, i] = own[0]
        losses[i, others, 1:] = np.reshape(own[1:], (len(others), points - 1))
    return Connectivity(tuple(labels), t, losses)


def _between(source: SteeringVector, target: SteeringVector, t: float, norm: str) -> SteeringVector:
    mixed = source * (1 - t) + target * t
    wanted = source.norm if norm == "first" else (1 - t) * source.norm + t * target.norm
    return mixed * (wanted / mixed.norm)
