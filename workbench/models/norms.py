"""RMS norms whose gradient is written out, for the plain model (models/plain.py).

    y = w · n,  n = x · r,  r = (mean x² + ε)^(-1/2)
    ∂/∂x = r · (g·w - n · mean(g·w·n))

Hugging Face's modules leave the gradient to autograd, which goes over the stream a dozen times more
than the formula. What a module computes is not guessed from its name: it is asked, and replaced
only if this formula gives the same with its weight as the factor, or with one more, as Gemma has
it.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn


class RMSNorm(nn.Module):
    """What `original` computes, faster where gradients by the stream are taken in float32.

    Parameters are the original's; whatever is not a float32 stream with a frozen weight goes there.
    """

    def __init__(self, original: nn.Module, epsilon: float, offset: float):
        super().__init__()
        self.original = original
        self.epsilon, self.offset = epsilon, offset
        self.train(original.training)

    def forward(self, x: Float[Tensor, "*batch width"]) -> Float[Tensor, "*batch width"]:
        weight: Tensor = self.original.weight  # type: ignore[assignment]
        plain = x.dtype == weight.dtype == torch.float32 and not weight.requires_grad
        if not (plain and x.requires_grad and torch.is_grad_enabled()):
            return self.original(x)
        return _Normed.apply(x, weight + self.offset if self.offset else weight, self.epsilon)


class _Normed(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, epsilon: float) -> Tensor:
        rate = x.square().mean(-1, keepdim=True).add_(epsilon).rsqrt_()
        normed = x * rate
        ctx.save_for_backward(normed, rate, weight)
        return normed * weight

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        normed, rate, weight = ctx.saved_tensors
        by_normed = gradient * weight
        along = (by_normed * normed).mean(-1, keepdim=True).neg_()
        return by_normed.addcmul_(normed, along).mul_(rate), None, None


def with_faster_norms(hf_model: nn.Module) -> None:
    """Replace, in place, the RMS norms of a model that is nobody else's."""
    for parent in list(hf_model.modules()):
        for name, child in list(parent.named_children()):
            found = _as_rms_norm(child)
            if found is not None:
                setattr(parent, name, found)


def without_faster_norms(hf_model: nn.Module) -> None:
    """Put the originals back, in place, as for a copy that is to be wrapped."""
    for parent in list(hf_model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, RMSNorm):
                setattr(parent, name, child.original)


@torch.no_grad()
def _as_rms_norm(module: nn.Module) -> RMSNorm | None:
    """The module as an RMS norm, if that is what it computes."""
    weight = module._parameters.get("weight")
    epsilon = getattr(module, "variance_epsilon", getattr(module, "eps", None))
    named = type(module).__name__.endswith("RMSNorm") and len(module._parameters) == 1
    if not named or weight is None or weight.ndim != 1 or not isinstance(epsilon, float):
        return None
    if weight.dtype != torch.float32 or weight.device.type == "meta":
        return None
    probe = torch.linspace(-2.0, 3.0, 2 * len(weight), device=weight.device).view(2, -1)
    expected = module(probe)
    for offset in (0.0, 1.0):
        found = _Normed.apply(probe, weight + offset, epsilon)
        if torch.allclose(found, expected, rtol=1e-5, atol=1e-6):
            return RMSNorm(module, epsilon, offset)
    return None
