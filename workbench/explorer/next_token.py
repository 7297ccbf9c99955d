"""The likeliest next tokens: one pass, of which the last position is unembedded only."""

from __future__ import annotations

import torch

from workbench.models.cached import cached_forward
from workbench.models.hooked import HookedModel, undisturbed
from workbench.models.text import check_context, pad, prompt_ids
from workbench.steering.hooks import apply_edits, plain_for
from workbench.steering.interventions import Steering, as_interventions
from workbench.steering.scoring import at_least_float32


@torch.no_grad()
def likeliest(
    model: HookedModel, text: str, steering: Steering = (), k: int = 1
) -> list[tuple[int, float]]:
    """The `k` likeliest tokens after a text, and their probabilities."""
    ids = prompt_ids(model, text)
    check_context(model, len(ids), "the prompt")
    edits = [edit for one in as_interventions(steering) for edit in one.edits(model)]
    batch = pad(model, [ids], side="left")
    with undisturbed(model):
        plain = plain_for(model, edits)
        with apply_edits(model, edits, batch.lengths, plain=plain):
            logits = cached_forward(model, plain)(batch.tokens, batch.attention_mask)[0]
    found = at_least_float32(logits).softmax(-1).topk(k)
    return list(zip(found.indices.tolist(), found.values.tolist(), strict=True))
