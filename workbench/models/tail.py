"""The replayed tail: run a model once, then only its later blocks, as often as you like.

With weights frozen, everything below layer L is the same in every step of an optimization at
layer L. So one clean forward pass is recorded, `resid_pre[L]` and the arguments that each later
block received, and steps replay blocks L.. on it, through the model's own hook points. Only the
positions that somebody reads are unembedded.

What a tail gives is checked against the recorded pass when it is made. Where a model's blocks
cannot be replayed, or its logits are not norm and unembedding of the last residual stream, the
full forward pass takes the tail's place, with one warning.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from workbench.models.hooked import HookedModel, logits, n_layers

Call = tuple[tuple[Any, ...], dict[str, Any]]
# Float noise between the recorded pass and the replayed one, relative to the largest logit.
TOLERANCE = {torch.float32: 1e-4, torch.float64: 1e-8}


@dataclass(frozen=True, eq=False)
class Tail:
    """Blocks `first` to the last, ready to be replayed on recorded rows.

    `column` and `row` say which positions are read. `calls` is None where the full pass is run.
    """

    model: HookedModel
    first: int
    tokens: Int[Tensor, "batch pos"]
    attention_mask: Int[Tensor, "batch pos"]
    row: Int[Tensor, " token"]
    column: Int[Tensor, " token"]
    resid: Float[Tensor, "batch pos d_model"] | None
    calls: tuple[Call, ...] | None

    @classmethod
    @torch.no_grad()
    def record(
        cls,
        model: HookedModel,
        tokens: Int[Tensor, "batch pos"],
        attention_mask: Int[Tensor, "batch pos"],
        first: int,
        row: Int[Tensor, " token"],
        column: Int[Tensor, " token"],
    ) -> Tail:
        """Run the model once, unsteered, and keep what its blocks from `first` on received."""
        calls: list[Call] = []

        def keep(module: torch.nn.Module, args: tuple, kwargs: dict) -> None:
            calls.append((args, kwargs))

        handles = [
            model.blocks[i].register_forward_pre_hook(keep, with_kwargs=True)
            for i in range(first, n_layers(model))
        ]
        try:
            clean = logits(model, tokens, attention_mask)[row, column]
        finally:
            for handle in handles:
                handle.remove()
        common = (model, first, tokens, attention_mask, row, column)
        try:
            tail = cls(*common, resid=_stream(calls[0]), calls=tuple(calls))
            _check(tail.read(), clean)
        except (AttributeError, IndexError, KeyError, RuntimeError, TypeError) as error:
            warnings.warn(
                f"the blocks of {model.cfg.model_name} cannot be replayed ({error}): every step "
                "runs the whole model, which is slower but equal",
                stacklevel=2,
            )
            return cls(*common, resid=None, calls=None)
        return tail

    def read(self) -> Float[Tensor, "token d_vocab"]:
        """Logits at the read positions, under whatever hooks the model has now."""
        if self.calls is None:
            return logits(self.model, self.tokens, self.attention_mask)[self.row, self.column]
        stream = self.resid
        for i, (args, kwargs) in enumerate(self.calls):
            block = self.model.blocks[self.first + i]
            if "hidden_states" in kwargs:
                out = block(*args, **{**kwargs, "hidden_states": stream})
            else:
                out = block(stream, *args[1:], **kwargs)
            stream = out[0] if isinstance(out, tuple) else out
        assert stream is not None
        return unembed(self.model, stream[self.row, self.column])


def unembed(
    model: HookedModel, resid: Float[Tensor, "token d_model"]
) -> Float[Tensor, "token d_vocab"]:
    """Logits from the last residual stream: final norm, unembedding, softcap where there is one."""
    read = model.unembed(model.ln_final(resid[None]))[0]  # type: ignore[attr-defined]
    cap = getattr(model.cfg, "output_logits_soft_cap", None) or 0.0
    return cap * torch.tanh(read / cap) if cap > 0 else read


def _stream(call: Call) -> Tensor:
    """The residual stream that a block was given."""
    args, kwargs = call
    return (kwargs["hidden_states"] if "hidden_states" in kwargs else args[0]).detach()


def _check(replayed: Tensor, clean: Tensor) -> None:
    """Raise RuntimeError unless the two passes agree."""
    scale = clean.float().abs().max().clamp(min=1.0)
    gap = float((replayed - clean).float().abs().max() / scale)
    allowed = TOLERANCE.get(clean.dtype, 0.05)
    if not gap <= allowed:
        raise RuntimeError(f"the replayed logits differ by {gap:.1e} of the largest one")
