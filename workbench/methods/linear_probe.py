"""Linear probes: a logistic regression that tells two sets of prompts apart, at every layer.

The direction is the regression's weights in the stream's own units, scaled so that it moves a
prompt from the middle of the negative set to the middle of the positive one along itself. The
threshold is where the probe is undecided; gates use both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from workbench.models.hooked import HookedModel, n_layers
from workbench.steering.activations import (
    DEFAULT_BATCH,
    LAST_TOKEN,
    Activations,
    activations,
    check_read,
)
from workbench.steering.positions import Positions
from workbench.steering.provenance import Provenance
from workbench.steering.vector import SteeringVector


@dataclass(frozen=True, eq=False)
class LinearProbe:
    """A direction and a threshold at one layer.

    A prompt counts as positive where its projection on the unit direction lies over `threshold`.
    `accuracy` is on held-out folds, over `n` prompts.
    """

    vector: SteeringVector
    threshold: float
    accuracy: float
    n: int

    def projections(self, activations: Float[Tensor, "prompt d_model"]) -> Float[Tensor, " prompt"]:
        """Dot products with the unit direction."""
        return activations @ (self.vector.values / self.vector.norm).to(activations)

    def to_frame(self) -> pd.DataFrame:
        """One row: vector, layer, threshold, accuracy, n."""
        return pd.DataFrame(
            [
                {
                    "vector": self.vector.label,
                    "layer": self.vector.layer,
                    "threshold": self.threshold,
                    "accuracy": self.accuracy,
                    "n": self.n,
                }
            ]
        )


def linear_probe(
    model: HookedModel,
    positive: Sequence[str],
    negative: Sequence[str],
    *,
    layers: Sequence[int] | None = None,
    positions: Positions = LAST_TOKEN,
    regularization: int | float = 1.0,
    folds: int = 5,
    seed: int = 0,
    batch_size: int = DEFAULT_BATCH,
    label: str | None = None,
    read: Activations | None = None,
    progress: bool = False,
) -> list[LinearProbe]:
    """One probe a layer. Activations are scaled by the standard deviation of all their entries.

    `regularization` is the weight of the L2 penalty (1 / C of scikit-learn; extra `train`).
    `read`: the activations, positive prompts first, where they are known already. Raises
    ValueError where a set has fewer prompts than folds, for a prompt that is there twice, and
    where `read` has other prompts or layers than asked for. Without `layers` those are left out
    where all prompts have the same stream.
    """
    if min(len(positive), len(negative)) < max(folds, 2):
        raise ValueError(
            f"{len(positive)} positive and {len(negative)} negative prompts: a probe needs both, "
            f"with at least {max(folds, 2)} each for {folds} folds"
        )
    if not regularization > 0 or folds < 2:
        raise ValueError(
            f"regularization must be positive and folds 2 or more: {regularization}, {folds}"
        )
    for prompts in (positive, negative):
        if len(set(prompts)) < len(prompts):
            repeated = next(prompt for prompt in prompts if list(prompts).count(prompt) > 1)
            raise ValueError(f"{repeated!r} is there twice: it would be in both parts of a fold")
    if both := set(positive) & set(negative):
        raise ValueError(f"{sorted(both)[0]!r} is among the positive and the negative prompts")
    wanted = list(range(n_layers(model)) if layers is None else layers)
    if read is None:
        read = activations(
            model,
            [*positive, *negative],
            layers=wanted,
            positions=positions,
            batch_size=batch_size,
            progress=progress,
        )
    check_read(read, len(positive) + len(negative), len(wanted))
    truth = np.r_[np.ones(len(positive), bool), np.zeros(len(negative), bool)]
    provenance = Provenance.of(
        "linear-probe",
        model,
        config={
            "positions": positions.to_dict(),
            "regularization": float(regularization),
            "n_positive": len(positive),
            "n_negative": len(negative),
            "folds": folds,
        },
        seed=seed,
        examples=tuple(
            {"sign": sign, "prompts": list(prompts)}
            for sign, prompts in (("+", positive), ("-", negative))
        ),
    )
    found = []
    for i, layer in enumerate(wanted):
        values = read[:, i].double().numpy()
        if layers is None and not np.ptp(values, axis=0).any():
            continue
        unit, threshold, accuracy = _fit(values, truth, float(regularization), folds, seed)
        dots = values @ unit
        gap = float(dots[truth].mean() - dots[~truth].mean())
        vector = SteeringVector(
            torch.tensor(unit * gap, dtype=torch.float32),
            layer,
            provenance,
            label or f"probe, layer {layer}",
        )
        found.append(LinearProbe(vector, threshold, accuracy, len(truth)))
    return found


def _fit(
    values: Float[np.ndarray, "prompt d_model"],
    truth: np.ndarray,
    regularization: float,
    folds: int,
    seed: int,
) -> tuple[Float[np.ndarray, " d_model"], float, float]:
    """The unit direction, the threshold on it, and the accuracy on held-out folds."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_score

    centre = values.mean(axis=0)
    size = float((values - centre).std()) or 1.0
    scaled = (values - centre) / size
    regression = LogisticRegression(C=1 / regularization, max_iter=2000)
    splitter = StratifiedKFold(folds, shuffle=True, random_state=seed)
    accuracy = float(cross_val_score(regression, scaled, truth, cv=splitter).mean())
    regression.fit(scaled, truth)
    weights, bias = regression.coef_[0], float(regression.intercept_[0])
    length = float(np.linalg.norm(weights))
    if not length:
        raise ValueError("the probe found nothing that tells the sets apart: its weights are zero")
    unit = weights / length
    return unit, float(centre @ unit) - bias / length * size, accuracy
