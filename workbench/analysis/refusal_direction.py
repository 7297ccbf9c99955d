"""The refusal direction, selected as in Arditi et al. 2024 (arXiv 2406.11717, section 2).

Candidates are differences of means, harmful minus harmless, at each layer and each of the last
tokens of the prompt. Of those that keep the bounds the one is chosen whose ablation makes harmful
prompts least refused:

    bypass  the refusal metric on harmful prompts, the direction ablated everywhere
    induce  the metric on harmless prompts, the difference added at its layer with its own norm; > 0
    kl      KL(unsteered ‖ ablated) at the last token of harmless prompts, in nats; < 0.1 there
    layer   less than 0.8 of the model's
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from workbench.analysis.refusal_metric import RefusalMetric, last_log_probs
from workbench.methods import mean_difference
from workbench.models.hooked import HookedModel, n_layers
from workbench.steering.interventions import Ablate, Add
from workbench.steering.positions import Positions
from workbench.steering.vector import SteeringVector
from workbench.steering.vector_set import VectorSet

LAYERS_BELOW = 0.8
LARGEST_KL = 0.1


@dataclass(frozen=True, eq=False)
class RefusalDirection:
    """The direction that was selected, with its own norm, and what the candidates scored.

    Columns of `candidates`: layer, token (-1 is the last), norm, bypass, induce, kl (nats), kept
    (whether it keeps the bounds), chosen. `n_harmful` and `n_harmless` prompts were scored.
    """

    vector: SteeringVector
    metric: RefusalMetric
    candidates: pd.DataFrame
    n_harmful: int
    n_harmless: int

    def to_frame(self) -> pd.DataFrame:
        """One row a candidate."""
        return self.candidates


def select_refusal_direction(
    model: HookedModel,
    harmful: Sequence[str],
    harmless: Sequence[str],
    metric: RefusalMetric,
    validation_harmful: Sequence[str],
    validation_harmless: Sequence[str],
    *,
    tokens: int = 5,
    layers: Sequence[int] | None = None,
    largest_kl: int | float = LARGEST_KL,
    progress: bool = True,
) -> RefusalDirection:
    """Select the direction from differences of means on `harmful` and `harmless` prompts.

    `tokens`: how many of a prompt's last ones are candidates (those of the template after the
    instruction). Validation prompts that the metric puts on the wrong side are left out, as there.
    Raises ValueError where none is left, and where no candidate keeps the bounds.
    """
    bound = LAYERS_BELOW * n_layers(model)
    wanted = [
        layer for layer in (range(n_layers(model)) if layers is None else layers) if layer < bound
    ]
    own = [metric(model, some) for some in (validation_harmful, validation_harmless)]
    asked = [prompt for prompt, score in zip(validation_harmful, own[0], strict=True) if score > 0]
    fine = [prompt for prompt, score in zip(validation_harmless, own[1], strict=True) if score < 0]
    if not asked or not fine:
        raise ValueError(
            f"of the validation prompts {len(asked)} harmful ones are refused and {len(fine)} "
            "harmless ones answered, by the metric: none may be 0"
        )
    vectors = candidates(model, harmful, harmless, tokens, wanted)
    before = last_log_probs(model, fine)
    rows = []
    for vector in tqdm(vectors, desc="directions", disable=not progress):
        ablated = last_log_probs(model, fine, Ablate(vector))
        kl = float((before.exp() * (before - ablated)).sum(-1).mean())
        rows.append(
            {
                "layer": vector.layers[0],
                "token": vector.provenance.config["token"],
                "norm": vector.norm,
                "bypass": float(np.mean(metric(model, asked, Ablate(vector)))),
                "induce": float(np.mean(metric(model, fine, Add(vector)))),
                "kl": kl,
            }
        )
    table = pd.DataFrame(rows)
    induces = table["induce"] > 0
    table["kept"] = induces & (table["kl"] < largest_kl)
    if not table["kept"].any():
        least = table["kl"][induces].min()
        nearest = f" (the least KL of these: {least:.3f})" if induces.any() else ""
        raise ValueError(
            f"no candidate keeps the bounds: of {len(table)}, {int(induces.sum())} induce refusals"
            f"{nearest}, {int((table['kl'] < largest_kl).sum())} have a KL under {largest_kl} "
            "nats. Try other layers, or a larger `largest_kl`"
        )
    best = int(np.nanargmin(table["bypass"].where(table["kept"])))
    table["chosen"] = table.index == best
    chosen = vectors[best].labelled(f"refusal direction, layer {rows[best]['layer']}")
    return RefusalDirection(chosen, metric, table, len(asked), len(fine))


def candidates(
    model: HookedModel,
    harmful: Sequence[str],
    harmless: Sequence[str],
    tokens: int,
    layers: Sequence[int],
) -> VectorSet:
    """Differences of means at each of the last tokens and each layer, those that are not zero.

    What enters the first layer at a token of the template is the same for all prompts.
    """
    found = []
    for token in range(-tokens, 0):
        positions = Positions.span(token, token + 1 or None)
        for vector in mean_difference(model, harmful, harmless, layers=layers, positions=positions):
            if not vector.norm:
                continue
            record = vector.provenance.derived("refusal-direction candidate", token=token)
            label = f"layer {vector.layer}, token {token}"
            found.append(SteeringVector(vector.values, vector.layer, record, label))
    return VectorSet(found)
