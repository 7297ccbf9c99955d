"""From the last residual stream to logits, and to losses of a few of them at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from workbench.models.hooked import HookedModel
from workbench.models.plain import PlainModel

CHUNK = 128  # tokens: enough for the matrix product, few enough for memory
# From logits (token d_vocab) and the tokens' numbers to a value each, and its gradient by logits.
Reader = Callable[[Tensor, Tensor], "tuple[Tensor, Tensor]"]


@dataclass(frozen=True)
class Head:
    """Final norm, unembedding, and the soft cap on the logits where a model has one."""

    final_norm: nn.Module
    unembed: nn.Module
    cap: float

    @classmethod
    def of(cls, model: HookedModel, plain: PlainModel | None = None) -> Head:
        """The model's own, or those of the plain model behind it."""
        cap = float(getattr(model.cfg, "output_logits_soft_cap", None) or 0.0)
        if plain is not None:
            return cls(plain.final_norm, plain.unembed, cap)
        return cls(model.ln_final, model.unembed, cap)  # type: ignore[attr-defined]

    def __call__(self, stream: Float[Tensor, "token d_model"]) -> Float[Tensor, "token d_vocab"]:
        """Logits of the last residual stream."""
        logits = _unembedded(self.unembed, self.final_norm(stream[None])[0])
        return self.cap * torch.tanh(logits / self.cap) if self.cap > 0 else logits

    def read(
        self, stream: Float[Tensor, "token d_model"], reader: Reader
    ) -> Float[Tensor, " token"]:
        """A value for each token's logits, differentiable by the stream.

        The gradient by the stream is taken along with the value, a few tokens at a time: logits of
        all tokens, and all that autograd keeps of them, are never in memory together.
        """
        return _Read.apply(stream, self, reader)


def _unembedded(
    unembed: nn.Module, normed: Float[Tensor, "token d_model"]
) -> Float[Tensor, "token d_vocab"]:
    """The unembedding, for a plain linear map on a CPU with the vocabulary first.

    For some hundred tokens the product is then half as fast again, the copy included (measured:
    a few tokens by 50,000 is the worse shape for the library's blocks).
    """
    if type(unembed) is not nn.Linear or normed.device.type != "cpu":
        return unembed(normed[None])[0]
    logits = (unembed.weight @ normed.T).T.contiguous()
    return logits if unembed.bias is None else logits + unembed.bias


class _Read(torch.autograd.Function):
    """Each value depends on its own token's stream only, so one row of gradient a token is all."""

    @staticmethod
    def forward(ctx, stream: Tensor, head: Head, reader: Reader) -> Tensor:  # type: ignore[no-untyped-def]
        values, gradients = [], []
        index = torch.arange(len(stream), device=stream.device)
        for some in index.split(CHUNK):
            with torch.enable_grad():
                own = stream[some].detach().requires_grad_()
                logits = head(own)
            value, by_logits = reader(logits.detach(), some)
            (gradient,) = torch.autograd.grad(logits, own, by_logits.to(logits.dtype))
            values.append(value)
            gradients.append(gradient)
        ctx.save_for_backward(torch.cat(gradients))
        return torch.cat(values)

    @staticmethod
    def backward(ctx, gradient: Float[Tensor, " token"]):  # type: ignore[no-untyped-def]
        (by_stream,) = ctx.saved_tensors
        return by_stream * gradient[:, None].to(by_stream.dtype), None, None


def spread(values: Float[Tensor, " token"], owner: Int[Tensor, " token"], count: int) -> Tensor:
    """The sum of the values of each of `count` owners."""
    return values.new_zeros(count).index_add(0, owner, values)
