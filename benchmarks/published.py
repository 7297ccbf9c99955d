"""The published procedure, written plainly (Dunefsky & Cohan, arXiv 2502.18862; reference code).

For each completion of the example one full forward and one full backward pass of an ordinary
Hugging Face model, with a pre-hook on decoder layer L that adds the vector to every position; then
one step of Adam. What it loses by is left as it is: no batch, no shared prompt, no replayed tail,
logits of every position.

Three things are kinder to it than the reference code: the weights are frozen, so that no gradient
of theirs is computed; no key-value cache is filled; and the softmax is taken only where the loss
reads it, in the stable form of log(1 - P), so that losses can be compared with ours.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from transformers import PreTrainedModel


@dataclass(frozen=True)
class Completion:
    """A completion as tokens: its prompt's, its own, and whether it is promoted or suppressed."""

    prompt: Sequence[int]
    tokens: Sequence[int]
    promoted: bool


@dataclass(frozen=True)
class Published:
    """A descent: the loss in nats before each update, the vector, and whether it got there.

    With a target, the last loss is that of the very vector, which has had no update after it.
    """

    losses: tuple[float, ...]
    vector: Float[Tensor, " d_model"]
    reached: bool


def published(
    hf_model: PreTrainedModel,
    completions: Sequence[Completion],
    layer: int,
    start: Float[Tensor, " d_model"],
    steps: int,
    learning_rate: float = 0.1,
    coldness: float = 0.7,
    target_loss: float = -math.inf,
) -> Published:
    """`steps` updates of one vector by Adam, or fewer where the loss gets to `target_loss`."""
    vector = start.clone().requires_grad_()
    adam = torch.optim.Adam([vector], lr=learning_rate)
    losses: list[float] = []
    with adding(hf_model, layer, vector):
        for _ in range(steps):
            adam.zero_grad()
            losses.append(0.0)
            for completion in completions:
                loss = completion_loss(hf_model, completion, coldness)
                loss.backward()
                losses[-1] += float(loss.detach())
            if losses[-1] <= target_loss:
                return Published(tuple(losses), vector.detach(), reached=True)
            adam.step()
    return Published(tuple(losses), vector.detach(), reached=False)


@torch.no_grad()
def loss_of(
    hf_model: PreTrainedModel,
    completions: Sequence[Completion],
    layer: int,
    vector: Float[Tensor, " d_model"],
    coldness: float = 0.7,
) -> float:
    """The loss of a vector in nats, the sum over its completions."""
    with adding(hf_model, layer, vector):
        return sum(float(completion_loss(hf_model, each, coldness)) for each in completions)


def completion_loss(
    hf_model: PreTrainedModel, completion: Completion, coldness: float
) -> Float[Tensor, ""]:
    """-Σ log P of a promoted completion, -Σ log(1 - P) of a suppressed one, in nats."""
    row = torch.tensor([[*completion.prompt, *completion.tokens]], device=hf_model.device)
    logits = hf_model(row, use_cache=False).logits[0, len(completion.prompt) - 1 : -1]
    scaled = coldness * logits.float()
    target = row[0, len(completion.prompt) :, None]
    if completion.promoted:
        return -scaled.log_softmax(-1).gather(-1, target).sum()
    others = scaled.scatter(-1, target, -math.inf)  # 1 - P is what all other tokens have
    return (scaled.logsumexp(-1) - others.logsumexp(-1)).sum()


@contextmanager
def adding(
    hf_model: PreTrainedModel, layer: int, vector: Float[Tensor, " d_model"]
) -> Iterator[None]:
    """Add `vector` to every position of the input of decoder layer `layer`."""

    def add(module: torch.nn.Module, args: tuple) -> tuple:
        return (args[0] + vector.to(args[0]), *args[1:])

    handle = hf_model.model.layers[layer].register_forward_pre_hook(add)
    try:
        yield
    finally:
        handle.remove()
