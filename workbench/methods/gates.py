"""Gates for conditional steering: conditions learnt from prompts that should open them or not.

Three kinds, all read at the prompt's last token: the projection on the difference of means
(InferAligner, Wang et al. 2024, arXiv 2401.11206), the cosine with it (CAST, Lee et al. 2024,
arXiv 2409.05907), and a linear probe with its own threshold (KL-then-steer, Stickland et al. 2024,
arXiv 2406.15518, gates so). Thresholds of the first two are those that tell the prompts apart best;
`Gate.shut_for` sets one by how many prompts may open it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from workbench.methods.linear_probe import linear_probe
from workbench.methods.mean_difference import mean_difference
from workbench.models.hooked import HookedModel
from workbench.steering.activations import LAST_TOKEN, activations
from workbench.steering.gating import Condition
from workbench.steering.positions import Positions

GateKind = Literal["projection", "cosine", "probe"]


@dataclass(frozen=True, eq=False)
class Gate:
    """A condition, and how well it tells prompts apart, the mean of both kinds' shares."""

    kind: GateKind
    condition: Condition
    accuracy: float

    @property
    def layer(self) -> int:
        """The layer at whose input it reads."""
        return self.condition.vector.layers[0]

    def shut_for(self, resid: Float[Tensor, "prompt d_model"], share: int | float) -> Condition:
        """Its condition, with a threshold that keeps it shut for at least a share of prompts.

        `resid`: the streams at its layer of prompts that should not open it, best ones that it was
        not learnt from. The threshold is the lowest such value of theirs, and a hair more: a
        prompt's value changes by float noise with those that it is read beside. Raises ValueError
        where there are no prompts, and for a share that is none.
        """
        if not len(resid) or not 0 < share <= 1:
            raise ValueError(
                f"{len(resid)} prompts and a share of {share}: at least one prompt, and a share "
                "over 0 and up to 1"
            )
        values = self.condition.value(resid).double().sort().values
        least = float(values[math.ceil(share * len(values) - 1e-9) - 1])
        hair = 1e-5 * float(values.abs().max())
        return replace(self.condition, threshold=least + hair)


def gates(
    model: HookedModel,
    opening: Sequence[str],
    closing: Sequence[str],
    layers: Sequence[int],
    kinds: GateKind | Sequence[GateKind] = "projection",
    *,
    positions: Positions = LAST_TOKEN,
    regularization: int | float = 1.0,
    seed: int = 0,
    progress: bool = False,
) -> list[Gate]:
    """One gate a kind and layer, open for `opening` prompts and shut for `closing` ones.

    The accuracy is that on these prompts; `regularization` is the probe's. Raises ValueError for an
    unknown kind, where there are no prompts of a sort, and for a probe as `linear_probe` does.
    """
    every = [kinds] if isinstance(kinds, str) else list(kinds)
    for kind in every:
        if kind not in ("projection", "cosine", "probe"):
            raise ValueError(f'a gate is a "projection", a "cosine" or a "probe", not {kind!r}')
    if not every or not layers or not opening or not closing:
        raise ValueError(
            f"{len(every)} kinds, {len(layers)} layers, {len(opening)} opening and "
            f"{len(closing)} closing prompts: none may be 0"
        )
    asked = (model, opening, closing)
    above, below = (
        activations(model, prompts, layers=layers, positions=positions, progress=progress)
        for prompts in (opening, closing)
    )
    conditions: list[tuple[GateKind, Condition]] = []
    for kind in every:
        if kind == "probe":
            both = torch.cat([above, below])
            probes = linear_probe(
                *asked,
                layers=layers,
                positions=positions,
                regularization=regularization,
                seed=seed,
                read=both,
            )
            found = [Condition(p.vector, p.threshold, positions=positions) for p in probes]
        else:
            means = mean_difference(*asked, layers=layers, positions=positions, read=(above, below))
            found = [Condition(v, 0.0, measure=kind, positions=positions) for v in means]
        conditions += [(kind, condition) for condition in found]
    made = []
    for i, (kind, condition) in enumerate(conditions):
        at = i % len(layers)
        high, low = (condition.value(each[:, at]).double().numpy() for each in (above, below))
        if kind == "probe":
            accuracy = balanced(high, low, float(condition.threshold))
        else:
            threshold, accuracy = best_threshold(high, low)
            condition = replace(condition, threshold=threshold)
        made.append(Gate(kind, condition, accuracy))
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
