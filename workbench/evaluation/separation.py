"""Vectors as classifiers: how well a dot product with the activations tells two sets apart.

ROC-AUC by layer and position (scikit-learn; extra `train`), with a bootstrap interval.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import bootstrap

from workbench.models.hooked import HookedModel
from workbench.steering.activations import LAST_TOKEN, activations
from workbench.steering.positions import Positions
from workbench.steering.vector import SteeringVector


@dataclass(frozen=True)
class Separation:
    """Dot products of each vector's unit form with activations of two sets, and their ROC-AUC."""

    labels: tuple[str, ...]
    layers: tuple[int, ...]
    positive: np.ndarray
    negative: np.ndarray
    """[vector, prompt] each."""
    auc: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]

    def to_frame(self) -> pd.DataFrame:
        """One row a vector: vector, layer, auc, low, high, n_positive, n_negative."""
        return pd.DataFrame(
            {
                "vector": self.labels,
                "layer": self.layers,
                "auc": self.auc,
                "low": self.low,
                "high": self.high,
                "n_positive": self.positive.shape[1],
                "n_negative": self.negative.shape[1],
            }
        )


def separation(
    model: HookedModel,
    vectors: Sequence[SteeringVector],
    positive: Sequence[str],
    negative: Sequence[str],
    *,
    positions: Positions = LAST_TOKEN,
    layer: int | None = None,
    seed: int = 0,
) -> Separation:
    """How well each vector tells prompts of two sets apart, at its own layer or at `layer`.

    The unsteered stream is read at `positions` (a mean over them). 0.5 is chance; under 0.5 the
    vector points the other way. Needs scikit-learn. Raises ValueError for no vectors or prompts,
    and for a vector of norm zero.
    """
    from sklearn.metrics import roc_auc_score

    if not vectors or not positive or not negative:
        raise ValueError(
            f"{len(vectors)} vectors, {len(positive)} and {len(negative)} prompts: none may be 0"
        )
    for vector in vectors:
        if not vector.norm:
            raise ValueError(f"{vector!r} is zero: it has no direction to tell prompts apart by")
    at = [_layer_of(vector) if layer is None else layer for vector in vectors]
    wanted = sorted(set(at))
    units = [vector.values.float().cpu() / vector.norm for vector in vectors]

    def dots(prompts: Sequence[str]) -> np.ndarray:
        read = activations(model, prompts, layers=wanted, positions=positions)
        rows = (read[:, wanted.index(each)] @ unit for each, unit in zip(at, units, strict=True))
        return np.stack([row.numpy() for row in rows])

    found_positive, found_negative = dots(positive), dots(negative)

    def auc(above: np.ndarray, below: np.ndarray) -> float:
        truth = np.r_[np.ones(len(above)), np.zeros(len(below))]
        return float(roc_auc_score(truth, np.r_[above, below]))

    values, bounds = [], []
    for above, below in zip(found_positive, found_negative, strict=True):
        values.append(auc(above, below))
        found = bootstrap(
            (above, below),
            auc,
            vectorized=False,
            n_resamples=500,
            method="percentile",
            random_state=seed,
        ).confidence_interval
        bounds.append((float(found.low), float(found.high)))
    return Separation(
        tuple(vector.label for vector in vectors),
        tuple(at),
        found_positive,
        found_negative,
        tuple(values),
        tuple(low for low, _ in bounds),
        tuple(high for _, high in bounds),
    )


def _layer_of(vector: SteeringVector) -> int:
    if not isinstance(vector.layer, int):
        raise ValueError(f"{vector!r} acts at several layers: say at which one it classifies")
    return vector.layer
