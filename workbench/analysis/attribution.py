"""Direct logit attribution of what steering changes: which parts of the model carry it out.

With r the last residual stream, N(r) = g ⊙ C r / σ(r) + b the final norm (C removes the mean in a
LayerNorm, and is nothing in an RMSNorm) and u the difference of two columns of the unembedding, the
logit difference, promoted minus suppressed, is u · N(r) before any soft cap. Steering changes it by

    w · (r' - r) / σ'  +  (1/σ' - 1/σ) w · r,      w = Cᵀ (g ⊙ u)

The first term is linear in what was written to the stream, so it falls into the edits themselves
(the vector's direct path) and the change of each head's and each MLP's output. The second is the
final norm's own: its scale follows the stream. A head's output behind a norm of its block's (Gemma)
is split by the same formula, which leaves that norm a part of its own. Nothing is left over.

It tells what is written where it is read, not what causes it: a head may only pass on what an
earlier one did (see `indirect_effects`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from scipy.stats import bootstrap

from workbench.analysis.parts import Part, Pass, places_of, values
from workbench.analysis.targets import Targets
from workbench.models.hooked import HookedModel, n_layers, undisturbed
from workbench.models.text import pad, prompt_ids
from workbench.steering.interventions import Steering, as_interventions

BATCH = 16


@dataclass(frozen=True, eq=False)
class Attribution:
    """Parts of the change in the logit difference, promoted minus suppressed, by prompt.

    `values` is in logits; `before` and `after` are the differences as the model itself gives them,
    without its soft cap.
    """

    prompts: tuple[str, ...]
    promoted: tuple[str, ...]
    suppressed: tuple[str, ...]
    parts: tuple[Part, ...]
    values: Float[np.ndarray, "prompt part"]
    before: Float[np.ndarray, " prompt"]
    after: Float[np.ndarray, " prompt"]

    @property
    def change(self) -> Float[np.ndarray, " prompt"]:
        """What steering changed in all, in logits."""
        return self.after - self.before

    def to_frame(self) -> pd.DataFrame:
        """One row a prompt and part: prompt, part, kind, layer, head, logits."""
        return pd.DataFrame(
            {
                "prompt": prompt,
                "part": part.name,
                "kind": part.kind,
                "layer": part.layer,
                "head": part.head,
                "logits": value,
            }
            for prompt, row in zip(self.prompts, self.values, strict=True)
            for part, value in zip(self.parts, row, strict=True)
        )

    def means(self, resamples: int = 2000, seed: int = 0) -> pd.DataFrame:
        """One row a part: part, kind, layer, head, mean over prompts, low, high, n.

        Low and high are a bootstrap interval over prompts, missing where there is only one.
        """
        low = high = np.full(len(self.parts), np.nan)
        if len(self.prompts) > 1:
            found = bootstrap(
                (self.values,),
                np.mean,
                axis=0,
                n_resamples=resamples,
                method="percentile",
                random_state=seed,
            ).confidence_interval
            low, high = found.low, found.high
        return pd.DataFrame(
            {
                "part": [part.name for part in self.parts],
                "kind": [part.kind for part in self.parts],
                "layer": [part.layer for part in self.parts],
                "head": [part.head for part in self.parts],
                "mean": self.values.mean(axis=0),
                "low": low,
                "high": high,
                "n": len(self.prompts),
            }
        )


@torch.no_grad()
def attribute(
    model: HookedModel,
    prompts: Sequence[str],
    promoted: str | Sequence[str],
    suppressed: str | Sequence[str],
    steering: Steering,
) -> Attribution:
    """Attribute what steering changes in the logits that follow each prompt.

    `promoted` and `suppressed`: a text for all prompts, or one for each; of each counts the first
    token. Layers before the first edit, where nothing changes, are left out.

    Raises ValueError where there are no prompts or no edits, where texts and prompts don't pair,
    and where both texts begin with the same token.
    """
    targets = Targets.of(model, prompts, promoted, suppressed)
    interventions = as_interventions(steering)
    edited = {edit.hook for each in interventions for edit in each.edits(model)}
    if not edited:
        raise ValueError("the steering edits nothing: there is nothing to attribute")
    places = [
        place
        for layer in range(min(map(_layer_of, edited)), n_layers(model))
        for place in places_of(model, layer, edited)
    ]
    ids = [prompt_ids(model, prompt) for prompt in prompts]
    tables, differences = [], []
    with undisturbed(model):
        for start in range(0, len(prompts), BATCH):
            some = range(start, min(start + BATCH, len(prompts)))
            batch = pad(model, [ids[i] for i in some], side="right")
            steered = [each.taking(some) for each in interventions]
            clean, now = (Pass.of(model, batch, given, places) for given in ([], steered))
            at = targets.tokens[:, start : start + len(some)]
            tables.append(values(model, clean, now, places, at))
            differences.append(torch.stack([each.difference(model, at) for each in (clean, now)]))
    parts = [part for place in places for part in place.parts(model)]
    before, after = torch.cat(differences, dim=1).numpy()
    return Attribution(
        tuple(prompts),
        targets.promoted,
        targets.suppressed,
        (*parts, Part("final norm")),
        torch.cat(tables).numpy(),
        before,
        after,
    )


def _layer_of(hook: str) -> int:
    return int(hook.split(".")[1])
