"""The logit lens: what a model would say if it stopped at each layer (nostalgebraist 2020).

The stream that enters each layer, and the one that leaves the last, is read through the model's own
final norm, unembedding and soft cap; the last row is the model's own prediction. Under steering the
stream is read as the layer gets it, behind the edit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int
from torch import Tensor

from workbench.analysis.vector_lens import visible_token
from workbench.models.hooked import HookedModel, logits, n_layers, resid_pre, undisturbed
from workbench.models.text import check_context, completion_ids, pad, prompt_ids
from workbench.models.unembedding import Head
from workbench.steering.captured import captured
from workbench.steering.hooks import steer
from workbench.steering.interventions import Steering
from workbench.steering.scoring import at_least_float32


@dataclass(frozen=True, eq=False)
class LogitLens:
    """What is read at each layer (its input; the last entry is the last layer's output).

    `tokens` are those of the text, `predicted` the texts and `probabilities` of the `k` likeliest
    next ones. `rank` (0 is the likeliest) and `log_prob` (nats) are the target's: a given token, or
    the text's own next one, which the last position lacks (rank -1). `entropy` and `kl`, that of
    this layer's distribution from the next layer's, KL(this ‖ next), are in nats; the last layer
    has no next (missing).
    """

    tokens: tuple[str, ...]
    layers: tuple[str, ...]
    predicted: tuple[tuple[tuple[str, ...], ...], ...]
    probabilities: Float[np.ndarray, "layer pos k"]
    target: tuple[str, ...]
    rank: Int[np.ndarray, "layer pos"]
    log_prob: Float[np.ndarray, "layer pos"]
    entropy: Float[np.ndarray, "layer pos"]
    kl: Float[np.ndarray, "layer pos"]

    def to_frame(self) -> pd.DataFrame:
        """One row a layer and position.

        Columns: layer, position, token, predicted (the likeliest), probability, target, rank,
        log_prob, entropy, kl (nats).
        """
        return pd.DataFrame(
            {
                "layer": layer,
                "position": position,
                "token": token,
                "predicted": self.predicted[i][position][0],
                "probability": self.probabilities[i, position, 0],
                "target": self.target[position],
                "rank": self.rank[i, position],
                "log_prob": self.log_prob[i, position],
                "entropy": self.entropy[i, position],
                "kl": self.kl[i, position],
            }
            for i, layer in enumerate(self.layers)
            for position, token in enumerate(self.tokens)
        )


@torch.no_grad()
def logit_lens(
    model: HookedModel,
    prompt: str,
    completion: str = "",
    steering: Steering = (),
    *,
    target: str | None = None,
    k: int = 5,
) -> LogitLens:
    """Read every layer at every position of a prompt and what follows it.

    The target is each position's own next token, or, where one is named, the first token of
    `target` after the text, at every position. Raises ValueError for a text longer than the
    context, and for a `k` that the vocabulary does not have.
    """
    head, tail = (
        completion_ids(model, prompt, completion) if completion else (prompt_ids(model, prompt), [])
    )
    ids = head + tail
    check_context(model, len(ids), "the text")
    if not 1 <= k <= int(model.cfg.d_vocab):
        raise ValueError(f"k must lie between 1 and {model.cfg.d_vocab}, got {k}")
    wanted = [*ids[1:], -1]
    if target is not None:
        wanted = [completion_ids(model, prompt + completion, target)[1][0]] * len(ids)
    aims = torch.tensor(wanted)
    read = Head.of(model)
    batch = pad(model, [ids], side="right")
    rows: list[_Row] = []
    before: Tensor | None = None
    with undisturbed(model):
        streams = _streams(model, batch.tokens, steering, [len(head)])
        for stream in streams:
            log_probs = at_least_float32(read(stream)).log_softmax(-1).cpu()
            if before is not None:
                rows[-1].kl = (before.exp() * (before - log_probs)).sum(-1)
            rows.append(_Row.of(log_probs, aims, k))
            before = log_probs
    decode: Callable[[int], str] = _decoder(model)
    return LogitLens(
        tokens=tuple(map(decode, ids)),
        layers=(*map(str, range(n_layers(model))), "out"),
        predicted=tuple(tuple(tuple(map(decode, top)) for top in row.top.tolist()) for row in rows),
        probabilities=np.stack([row.probabilities.numpy() for row in rows]),
        target=tuple("" if i < 0 else decode(i) for i in wanted),
        rank=np.stack([row.rank.numpy() for row in rows]),
        log_prob=np.stack([row.log_prob.numpy() for row in rows]),
        entropy=np.stack([row.entropy.numpy() for row in rows]),
        kl=np.stack([row.kl.numpy() for row in rows]),
    )


@dataclass
class _Row:
    """What is read at one layer, by position."""

    top: Int[Tensor, "pos k"]
    probabilities: Float[Tensor, "pos k"]
    rank: Int[Tensor, " pos"]
    log_prob: Float[Tensor, " pos"]
    entropy: Float[Tensor, " pos"]
    kl: Float[Tensor, " pos"]

    @classmethod
    def of(cls, log_probs: Float[Tensor, "pos d_vocab"], aims: Int[Tensor, " pos"], k: int) -> _Row:
        values, top = log_probs.topk(k, dim=-1)
        there = aims >= 0
        own = log_probs.gather(-1, aims.clamp(min=0)[:, None])
        missing = log_probs.new_full((len(aims),), float("nan"))
        return cls(
            top,
            values.exp(),
            torch.where(there, (log_probs > own).sum(-1), -1),
            torch.where(there, own[:, 0], missing),
            -(log_probs.exp() * log_probs).sum(-1),
            missing,
        )


def _streams(
    model: HookedModel, tokens: Int[Tensor, "1 pos"], steering: Steering, prompt_lengths: list[int]
) -> Iterator[Float[Tensor, "pos d_model"]]:
    """What enters each layer, and what leaves the last, in this order."""
    last = f"blocks.{n_layers(model) - 1}.hook_resid_post"
    hooks = [*map(resid_pre, range(n_layers(model))), last]
    with steer(model, steering, prompt_lengths=prompt_lengths), captured(model, hooks) as found:
        logits(model, tokens)
    return (found[hook][0] for hook in hooks)


def _decoder(model: HookedModel) -> Callable[[int], str]:
    return lambda token_id: visible_token(model.tokenizer, token_id)
