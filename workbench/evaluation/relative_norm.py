"""How long vectors are beside the stream that they are added to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import t as student

from workbench.models.hooked import HookedModel
from workbench.steering.activations import AFTER_FIRST, stream_norms
from workbench.steering.positions import Positions
from workbench.steering.vector import SteeringVector


@dataclass(frozen=True)
class RelativeNorms:
    """Norms of vectors, and as shares of the mean norm of the stream at their layer.

    `stream` has that mean, over `n` prompts, for each vector, `low` and `high` its 95% interval
    (Student's t; NaN for one prompt).
    """

    labels: tuple[str, ...]
    layers: tuple[int, ...]
    norms: tuple[float, ...]
    stream: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    n: int

    @property
    def shares(self) -> tuple[float, ...]:
        """Each vector's norm divided by that of the stream."""
        return tuple(norm / mean for norm, mean in zip(self.norms, self.stream, strict=True))

    def to_frame(self) -> pd.DataFrame:
        """One row a vector: vector, layer, norm, stream, low, high, share, n."""
        return pd.DataFrame(
            {
                "vector": self.labels,
                "layer": self.layers,
                "norm": self.norms,
                "stream": self.stream,
                "low": self.low,
                "high": self.high,
                "share": self.shares,
                "n": self.n,
            }
        )


def relative_norms(
    model: HookedModel,
    vectors: Sequence[SteeringVector],
    prompts: Sequence[str],
    *,
    positions: Positions = AFTER_FIRST,
) -> RelativeNorms:
    """Compare vectors with the unsteered stream of some prompts at their layers.

    A vector of several layers is compared at its first. All tokens of a prompt but the first count,
    unless `positions` are given. Raises ValueError without vectors or prompts.
    """
    if not vectors or not prompts:
        raise ValueError(f"{len(vectors)} vectors and {len(prompts)} prompts: neither may be 0")
    at = [vector.layers[0] for vector in vectors]
    layers = sorted(set(at))
    read = stream_norms(model, prompts, layers=layers, positions=positions).double().numpy()
    n = len(prompts)
    means = read.mean(0)
    error = read.std(0, ddof=1) / np.sqrt(n) if n > 1 else np.full(len(layers), np.nan)
    half = student.ppf(0.975, max(n - 1, 1)) * error
    where = [layers.index(layer) for layer in at]
    return RelativeNorms(
        tuple(vector.label for vector in vectors),
        tuple(at),
        tuple(float(vector.norm) for vector in vectors),
        tuple(float(means[i]) for i in where),
        tuple(float(means[i] - half[i]) for i in where),
        tuple(float(means[i] + half[i]) for i in where),
        n,
    )
