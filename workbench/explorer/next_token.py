"""The likeliest next tokens: one pass, of which the last position is unembedded only."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from workbench.models.cached import cached_forward
from workbench.models.hooked import HookedModel, undisturbed, weights_version
from workbench.models.tail import Recording
from workbench.models.text import TokenBatch, check_context, pad, prompt_ids
from workbench.steering.hooks import apply_edits, plain_for
from workbench.steering.interventions import Edit, Steering, as_interventions
from workbench.steering.prepared import lowest_layer, stream_edits
from workbench.steering.scoring import at_least_float32
from workbench.steering.window import TokenWindow


class NextToken:
    """Asked for one text under one steering after another, as a slider moves.

    What lies below the first edited layer is run once (models/tail.py).
    """

    def __init__(self, model: HookedModel):
        self.model = model
        self._below: tuple[tuple[str, int, int], Recording] | None = None

    @torch.no_grad()
    def likeliest(self, text: str, steering: Steering = (), k: int = 1) -> list[tuple[int, float]]:
        """The `k` likeliest tokens after a text, and their probabilities."""
        ids = prompt_ids(self.model, text)
        check_context(self.model, len(ids), "the prompt")
        edits = [edit for one in as_interventions(steering) for edit in one.edits(self.model)]
        batch = pad(self.model, [ids], side="right")
        layer = lowest_layer(self.model, steering)
        with undisturbed(self.model):
            if layer is None:
                logits = self._whole(batch, edits)
            else:
                logits = self._from(layer, text, batch, edits)
        found = at_least_float32(logits).softmax(-1).topk(k)
        return list(zip(found.indices.tolist(), found.values.tolist(), strict=True))

    def _whole(self, batch: TokenBatch, edits: list[Edit]) -> Float[Tensor, " d_vocab"]:
        plain = plain_for(self.model, edits)
        with apply_edits(self.model, edits, batch.lengths, plain=plain):
            return cached_forward(self.model, plain)(batch.tokens, batch.attention_mask)[0]

    def _from(
        self, layer: int, text: str, batch: TokenBatch, edits: list[Edit]
    ) -> Float[Tensor, " d_vocab"]:
        key = text, layer, weights_version(self.model)
        if self._below is None or self._below[0] != key:
            rows = batch.tokens, batch.attention_mask, batch.lengths
            recording = Recording.of(self.model, *rows, [(0,)], first=layer, last=layer)
            self._below = key, recording
        window = TokenWindow.of(batch, batch.lengths)
        passed = self._below[1].tail(layer, [0]).run(stream_edits(self.model, layer, edits, window))
        return passed.logits_at(torch.tensor([0]), batch.lengths - 1)[0]


def likeliest(
    model: HookedModel, text: str, steering: Steering = (), k: int = 1
) -> list[tuple[int, float]]:
    """The same, once."""
    return NextToken(model).likeliest(text, steering, k)
