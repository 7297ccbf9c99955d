"""From the last residual stream to logits, and to losses of a few of them at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from workbench.models.hooked import HookedModel
from workbench.models.plain import PlainModel

LARGEST = 16 * 1024 * 1024  # logits in memory together: 64 MB of float32
# From logits (token d_vocab) and the tokens' numbers to a value each, and its gradient by logits.
# The logits are the reader's own: it may write its gradient in their place.
Reader = Callable[[Tensor, Tensor], "tuple[Tensor, Tensor]"]


@dataclass(frozen=True)
class Head:
    """Final norm, unembedding, and the soft cap on the logits where a model has one."""

    final_norm: nn.Module
    unembed: nn.Module
    cap: float
    d_vocab: int

    @classmethod
    def of(cls, model: HookedModel, plain: PlainModel | None = None) -> Head:
        """The model's own, or those of the plain model behind it."""
        cap = float(getattr(model.cfg, "output_logits_soft_cap", None) or 0.0)
        count = int(model.cfg.d_vocab)
        if plain is not None:
            return cls(plain.final_norm, plain.unembed, cap, count)
        return cls(model.ln_final, model.unembed, cap, count)  # type: ignore[attr-defined]

    def __call__(self, stream: Float[Tensor, "token d_model"]) -> Float[Tensor, "token d_vocab"]:
        """Logits of the last residual stream."""
        logits = self.unembed(self.final_norm(stream[None]))[0]
        return self.cap * torch.tanh(logits / self.cap) if self.cap > 0 else logits

    def read(
        self, stream: Float[Tensor, "token d_model"], reader: Reader
    ) -> Float[Tensor, " token"]:
        """A value for each token's logits, differentiable by the stream.

        The gradient by the stream is taken along with the value, a few tokens at a time: logits of
        all tokens, and all that autograd keeps of them, are never in memory together.
        """
        return _Read.apply(stream, self, reader)


class _Read(torch.autograd.Function):
    """Each value depends on its own token's stream only, so one row of gradient a token is all."""

    @staticmethod
    def forward(ctx, stream: Tensor, head: Head, reader: Reader) -> Tensor:  # type: ignore[no-untyped-def]
        values, gradients = [], []
        read = _read_turned if _is_better_turned(head, stream) else _read
        wanted = ctx.needs_input_grad[0]
        index = torch.arange(len(stream), device=stream.device)
        for some in index.split(max(1, LARGEST // head.d_vocab)):
            with torch.set_grad_enabled(wanted):
                own = stream[some].detach().requires_grad_(wanted)
                value, gradient = read(head, own, reader, some)
            values.append(value)
            if gradient is not None:
                gradients.append(gradient)
        if wanted:
            ctx.save_for_backward(torch.cat(gradients))
        return torch.cat(values)

    @staticmethod
    def backward(ctx, gradient: Float[Tensor, " token"]):  # type: ignore[no-untyped-def]
        (by_stream,) = ctx.saved_tensors
        return by_stream * gradient[:, None].to(by_stream.dtype), None, None


Read = tuple[Float[Tensor, " some"], "Float[Tensor, 'some d_model'] | None"]


def _read(
    head: Head, own: Float[Tensor, "some d_model"], reader: Reader, some: Int[Tensor, " some"]
) -> Read:
    """Values and their gradients by the stream if it has one, whatever the head is made of."""
    logits = head(own)
    value, by_logits = reader(logits.detach().clone(), some)
    if not own.requires_grad:
        return value, None
    (gradient,) = torch.autograd.grad(logits, own, by_logits.to(logits.dtype))
    return value, gradient


def _is_better_turned(head: Head, stream: Float[Tensor, "token d_model"]) -> bool:
    plain = type(head.unembed) is nn.Linear and head.cap <= 0
    return plain and stream.device.type == "cpu" and stream.dtype == torch.float32


def _read_turned(
    head: Head, own: Float[Tensor, "some d_model"], reader: Reader, some: Int[Tensor, " some"]
) -> Read:
    """The same with the vocabulary first in memory, for a plain linear map.

    A few tokens by 50,000 is a bad shape for a CPU's matrix product, 50,000 by a few a better one
    (measured: a third less time forward, a fifth backward).
    """
    assert isinstance(head.unembed, nn.Linear)
    weight, bias = head.unembed.weight, head.unembed.bias
    normed = head.final_norm(own[None])[0]
    with torch.no_grad():
        logits = (weight @ normed.T).T
        if bias is not None:
            logits += bias
        value, by_logits = reader(logits, some)
    if not own.requires_grad:
        return value, None
    by_normed = (weight.detach().T @ by_logits.T).T
    (gradient,) = torch.autograd.grad(normed, own, by_normed)
    return value, gradient


def spread(values: Float[Tensor, " token"], owner: Int[Tensor, " token"], count: int) -> Tensor:
    """The sum of the values of each of `count` owners."""
    return values.new_zeros(count).index_add(0, owner, values)
