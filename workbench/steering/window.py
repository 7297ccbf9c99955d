"""What one forward pass sees: which of a row's tokens its columns are, where the prompt ends."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Int
from torch import Tensor

from workbench.models.hooked import ForwardCall, HookedModel
from workbench.models.text import TokenBatch, pad_id


@dataclass(frozen=True, eq=False)
class TokenWindow:
    """The tokens that one forward pass sees.

    `index` is each column's place among its row's real tokens, -1 on padding. `lengths` is the
    length of each row's whole text; None while decoding, when it is not known yet.
    """

    index: Int[Tensor, "batch pos"]
    prompt_lengths: Int[Tensor, " batch"]
    lengths: Int[Tensor, " batch"] | None
    tokens: Int[Tensor, "batch pos"] | None

    @classmethod
    def of(cls, batch: TokenBatch, prompt_lengths: Int[Tensor, " batch"]) -> TokenWindow:
        """What a pass over all of a padded batch sees."""
        mask = batch.attention_mask
        index = (mask.cumsum(-1) - 1).masked_fill(mask == 0, -1)
        return cls(index, prompt_lengths, batch.lengths, batch.tokens)


class WindowTracker:
    """Follows a model's forward passes and keeps the window of the present one.

    A pass with an empty cache starts new texts: all of it is prompt, unless `prompt_lengths` says
    how long each row's prompt is. Passes with a filled cache are the completion.
    """

    def __init__(self, model: HookedModel, prompt_lengths: Int[Tensor, " batch"] | None = None):
        self._pad = pad_id(model) if model.tokenizer is not None else None
        self._given = prompt_lengths
        self._prompt_lengths: Int[Tensor, " batch"] | None = None
        self.window: TokenWindow | None = None

    def see(self, call: ForwardCall) -> None:
        """Take note of a forward pass that is about to run."""
        mask = self._mask(call)
        lengths = mask.sum(-1)
        if call.past == 0 or self._given is not None:
            self._prompt_lengths = self._declared(call.batch, lengths)
        prompt_lengths = self._prompt_lengths
        if prompt_lengths is None or prompt_lengths.shape[0] != call.batch:
            prompt_lengths = lengths - call.width  # a cache filled before the context began
        index = (mask.cumsum(-1) - 1).masked_fill(mask == 0, -1)
        self.window = TokenWindow(
            index=index[:, call.past :],
            prompt_lengths=prompt_lengths,
            lengths=lengths if call.past == 0 else None,
            tokens=call.tokens,
        )

    def _declared(self, batch: int, lengths: Int[Tensor, " batch"]) -> Int[Tensor, " batch"]:
        if self._given is None:
            return lengths
        if self._given.shape[0] != batch:
            raise ValueError(
                f"prompt_lengths has {self._given.shape[0]} entries, the batch has {batch} rows"
            )
        return self._given.to(lengths.device)

    def _mask(self, call: ForwardCall) -> Int[Tensor, "batch total"]:
        """1 where a token is real. Where no mask was given, as TransformerLens would count.

        Trailing pad tokens of a batch are padding as far as some rows have more of them than the
        row that has fewest: padding to the longest leaves the longest row without any.
        """
        if call.attention_mask is not None:
            return call.attention_mask.long()
        device = call.tokens.device if call.tokens is not None else None
        mask = torch.ones(call.batch, call.past + call.width, dtype=torch.long, device=device)
        if call.past == 0 and call.batch > 1 and call.tokens is not None and self._pad is not None:
            is_pad = (call.tokens == self._pad).long()
            trailing = is_pad.flip(-1).cumprod(-1).sum(-1)
            real = call.width - (trailing - trailing.min())
            mask = (torch.arange(call.width, device=device) < real[:, None]).long()
        return mask
