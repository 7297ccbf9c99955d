"""Gates for conditional steering: conditions learnt from prompts that should open them or not.

Three kinds, all read at the prompt's last token: the projection on the difference of means
(InferAligner, Wang et al. 2024, arXiv 2401.11206), the cosine with it (CAST, Lee et al. 2024,
arXiv 2409.05907), and a linear probe with its own threshold (KL-then-steer, Stickland et al. 2024,
arXiv 2406.15518, gates so). Thresholds of the first two are those that tell the prompts apart best.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float

from workbench.methods.linear_probe import linear_probe
from workbench.methods.mean_difference import mean_difference
from workbench.models.hooked import HookedModel
from workbench.steering.activations import LAST_TOKEN, activations
from workbench.steering.gating import Condition
from workbench.steering.positions import Positions
from workbench.steering.vector import SteeringVector

GateKind = Literal["projection", "cosine", "probe"]


@dataclass(frozen=True, eq=False)
class Gate:
    """A condition, and how well it tells prompts apart, the mean of both kinds' shares."""

    condition: Condition
    accuracy: float

    @property
    def layer(self) -> int:
        """The layer at whose input it reads."""
        return self.condition.vector.layers[0]


def gates(
    model: HookedModel,
    opening: Sequence[str],
    closing: Sequence[str],
    layers: Sequence[int],
    kind: GateKind = "projection",
    *,
    positions: Positions = LAST_TOKEN,
    seed: int = 0,
    progress: bool = False,
) -> list[Gate]:
    """One gate a layer, open for `opening` prompts and shut for `closing` ones.

    The accuracy is that on these prompts. Raises ValueError for an unknown kind, where there are no
    prompts of a sort, and for a probe as `linear_probe` does.
    """
    if kind not in ("projection", "cosine", "probe"):
        raise ValueError(f'a gate is a "projection", a "cosine" or a "probe", not {kind!r}')
    if not layers or not opening or not closing:
        raise ValueError(
            f"{len(layers)} layers, {len(opening)} opening and {len(closing)} closing prompts: "
            "none may be 0"
        )
    asked = (model, opening, closing)
    vectors: Sequence[SteeringVector]
    if kind == "probe":
        probes = linear_probe(
            *asked, layers=layers, positions=positions, seed=seed, progress=progress
        )
        vectors = [probe.vector for probe in probes]
        conditions = [Condition(p.vector, p.threshold, positions=positions) for p in probes]
    else:
        found = mean_difference(*asked, layers=layers, positions=positions, progress=progress)
        vectors = list(found)
        conditions = [Condition(v, 0.0, measure=kind, positions=positions) for v in vectors]
    made = []
    read = [
        activations(model, prompts, layers=layers, positions=positions)
        for prompts in (opening, closing)
    ]
    for i, condition in enumerate(conditions):
        above, below = (condition.value(each[:, i]).double().numpy() for each in read)
        if kind == "probe":
            accuracy = balanced(above, below, float(condition.threshold))
        else:
            threshold, accuracy = best_threshold(above, below)
            condition = Condition(vectors[i], threshold, measure=kind, positions=positions)
        made.append(Gate(condition, accuracy))
    return made


def best_threshold(
    above: Float[np.ndarray, " n_above"], below: Float[np.ndarray, " n_below"]
) -> tuple[float, float]:
    """The threshold with the best balanced accuracy, midway between two values, and that accuracy.

    Of several the one in the middle.
    """
    values = np.unique(np.r_[above, below])
    middles = (values[1:] + values[:-1]) / 2 if len(values) > 1 else values
    scores = [balanced(above, below, t) for t in middles]
    best = np.flatnonzero(np.isclose(scores, max(scores)))
    return float(middles[best[len(best) // 2]]), float(max(scores))


def balanced(
    above: Float[np.ndarray, " n_above"], below: Float[np.ndarray, " n_below"], threshold: float
) -> float:
    """The mean of the shares on the right side of a threshold."""
    return float(((above > threshold).mean() + (below <= threshold).mean()) / 2)
