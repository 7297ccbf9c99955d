"""Activation structure: where sets of prompts lie in the stream, and from which layer on apart.

For each layer: the first principal components of the activations of all sets, and how well a
difference of means, learned on some prompts, tells the first set from each other one on held-out
prompts (ROC-AUC over folds; extra `train`). Beside it the same with shuffled labels, which is what
few prompts in many dimensions give by chance.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float
from torch import Tensor

from workbench.analysis.geometry import VectorLike
from workbench.models.hooked import HookedModel, n_layers
from workbench.steering.activations import LAST_TOKEN, activations
from workbench.steering.positions import Positions

SHUFFLES = 20


@dataclass(frozen=True, eq=False)
class Plane:
    """One layer's activations in their first two principal components.

    `coordinates` are centred at the mean of all prompts; `shares` are the components' shares of the
    variance.
    """

    layer: int
    groups: tuple[str, ...]
    coordinates: Float[np.ndarray, "prompt 2"]
    shares: tuple[float, float]
    mean: Float[np.ndarray, " d_model"]
    components: Float[np.ndarray, "2 d_model"]

    def arrow(self, vector: VectorLike) -> tuple[float, float]:
        """What adding the vector does in this plane. Raises ValueError for another width."""
        values = vector.values.detach().cpu().double().numpy()
        if values.shape != self.mean.shape:
            raise ValueError(f"the vector has shape {values.shape}, the plane {self.mean.shape}")
        x, y = self.components @ values
        return float(x), float(y)

    def to_frame(self) -> pd.DataFrame:
        """One row a prompt: group, x, y."""
        return pd.DataFrame(
            {"group": self.groups, "x": self.coordinates[:, 0], "y": self.coordinates[:, 1]}
        )


@dataclass(frozen=True, eq=False)
class ActivationStructure:
    """Activations of sets of prompts at several layers; see `activation_structure`."""

    layers: tuple[int, ...]
    prompts: tuple[str, ...]
    groups: tuple[str, ...]
    activations: Float[Tensor, "prompt layer d_model"]
    separated: pd.DataFrame

    def plane(self, layer: int) -> Plane:
        """A layer's first two principal components."""
        read = self.at(layer)
        mean = read.mean(axis=0)
        left, values, right = np.linalg.svd(read - mean, full_matrices=False)
        total = float((values**2).sum()) or 1.0
        shares = (float(values[0] ** 2 / total), float(values[1] ** 2 / total))
        return Plane(layer, self.groups, left[:, :2] * values[:2], shares, mean, right[:2])

    def project(self, vector: VectorLike, layer: int | None = None) -> pd.DataFrame:
        """Dot products with the vector's unit form at its layer, or `layer`: group, prompt, dot."""
        at = vector.layer if layer is None else layer
        if not isinstance(at, int):
            raise ValueError(f"{vector!r} acts at several layers: say at which one to project")
        values = vector.values.detach().cpu().double().numpy()
        dots = self.at(at) @ (values / np.linalg.norm(values))
        return pd.DataFrame({"group": self.groups, "prompt": self.prompts, "dot": dots})

    def at(self, layer: int) -> Float[np.ndarray, "prompt d_model"]:
        """A layer's activations. Raises KeyError for one that was not read."""
        if layer not in self.layers:
            raise KeyError(f"layer {layer} was not read; there are {list(self.layers)}")
        return self.activations[:, self.layers.index(layer)].double().numpy()

    def to_frame(self) -> pd.DataFrame:
        """One row a layer and set: layer, group, auc, low, high (over folds), shuffled, n."""
        return self.separated


def activation_structure(
    model: HookedModel,
    groups: Mapping[str, Sequence[str]],
    *,
    layers: Sequence[int] | None = None,
    positions: Positions = LAST_TOKEN,
    folds: int = 5,
    seed: int = 0,
    progress: bool = False,
) -> ActivationStructure:
    """Read sets of prompts at the input of each layer, and see how far apart they lie.

    The first set is held against each other one. Raises ValueError unless there are two sets, each
    with as many prompts as folds; needs scikit-learn.
    """
    sizes = {name: len(prompts) for name, prompts in groups.items()}
    if len(sizes) < 2 or min(sizes.values()) < folds or folds < 2:
        raise ValueError(
            f"two sets are needed, of at least {folds} prompts each for {folds} folds; there are "
            f"{sizes}"
        )
    wanted = list(range(n_layers(model)) if layers is None else layers)
    prompts = [prompt for some in groups.values() for prompt in some]
    names = [name for name, some in groups.items() for _ in some]
    read = activations(model, prompts, layers=wanted, positions=positions, progress=progress)
    first = next(iter(groups))
    rows = []
    for i, layer in enumerate(wanted):
        values = read[:, i].double().numpy()
        for other in sizes:
            if other == first:
                continue
            mine = np.array([name in (first, other) for name in names])
            truth = np.array([name == first for name in names])[mine]
            aucs, shuffled = held_out(values[mine], truth, folds, seed)
            rows.append(
                {
                    "layer": layer,
                    "group": other,
                    "auc": float(np.mean(aucs)),
                    "low": float(np.min(aucs)),
                    "high": float(np.max(aucs)),
                    "shuffled": float(np.quantile(shuffled, 0.95)),
                    "n": int(mine.sum()),
                }
            )
    return ActivationStructure(
        tuple(wanted), tuple(prompts), tuple(names), read, pd.DataFrame(rows)
    )


def held_out(
    values: Float[np.ndarray, "prompt d_model"],
    truth: np.ndarray,
    folds: int,
    seed: int = 0,
) -> tuple[list[float], list[float]]:
    """A difference of means' AUC on each held-out fold, and the means with labels shuffled."""
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import StratifiedKFold

    splitter = StratifiedKFold(folds, shuffle=True, random_state=seed)

    def aucs(labels: np.ndarray) -> list[float]:
        found = []
        for train, test in splitter.split(values, labels):
            direction = values[train][labels[train]].mean(0) - values[train][~labels[train]].mean(0)
            found.append(float(roc_auc_score(labels[test], values[test] @ direction)))
        return found

    generator = np.random.default_rng(seed)
    shuffled = [float(np.mean(aucs(generator.permutation(truth)))) for _ in range(SHUFFLES)]
    return aucs(truth), shuffled
