"""The logit lens: what a model would say if it stopped at each layer (nostalgebraist 2020).

The stream that enters each layer, and the one that leaves the last, is read through the model's own
final norm, unembedding and soft cap; the last row is the model's own prediction. Under steering the
stream is read as the layer gets it, behind the edit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int
from torch import Tensor

from workbench.analysis.vector_lens import visible_token
from workbench.models.cached import cached_forward
from workbench.models.hooked import (
    HookedModel,
    logits,
    n_layers,
    resid_end,
    resid_pre,
    undisturbed,
)
from workbench.models.text import TokenBatch, check_context, completion_ids, pad, prompt_ids
from workbench.models.unembedding import Head
from workbench.steering.captured import captured
from workbench.steering.hooks import apply_edits, plain_for
from workbench.steering.interventions import Steering, as_interventions, rows_of
from workbench.steering.prepared import lowest_layer
from workbench.steering.scoring import at_least_float32

# Logits in memory together, 16 MB in float32: larger pieces the system hands out anew each time,
# empty, which takes as long as what is done with them.
AT_ONCE = 4 * 1024 * 1024


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
    unsteered: LogitLens | None = None,
) -> LogitLens:
    """Read every layer at every position of a prompt and what follows it.

    The target is each position's own next token, or, where one is named, the first token of
    `target` after the text, at every position. `unsteered`, the lens of the same texts and target
    on the same weights without steering, saves reading the layers below the first steered one.
    Raises ValueError for a text longer than the context, for a `k` that the vocabulary does not
    have, and for an `unsteered` lens of something else.
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
    decode: Callable[[int], str] = _decoder(model)
    tokens, aims = tuple(map(decode, ids)), tuple("" if i < 0 else decode(i) for i in wanted)
    below = 0 if unsteered is None else max((lowest_layer(model, steering) or 0) - 1, 0)
    if unsteered is not None and (
        (unsteered.tokens, unsteered.target) != (tokens, aims)
        or unsteered.probabilities.shape[-1] != k
    ):
        raise ValueError("the unsteered lens is of another text, target or k")
    batch = pad(model, [ids], side="right")
    with undisturbed(model):
        streams = _streams(model, batch, steering, len(head))[below:]
        rows = _read(Head.of(model), streams, torch.tensor(wanted, device=streams.device), k)

    def all_layers(name: str) -> np.ndarray:
        read = getattr(rows, name).cpu().numpy()
        return np.concatenate([getattr(unsteered, name)[:below], read]) if below else read

    predicted = tuple(tuple(tuple(map(decode, top)) for top in row) for row in rows.top.tolist())
    return LogitLens(
        tokens=tokens,
        layers=(*map(str, range(n_layers(model))), "out"),
        predicted=(*(unsteered.predicted[:below] if unsteered else ()), *predicted),
        probabilities=all_layers("probabilities"),
        target=aims,
        rank=all_layers("rank"),
        log_prob=all_layers("log_prob"),
        entropy=all_layers("entropy"),
        kl=all_layers("kl"),
    )


@dataclass
class _Rows:
    """What is read at some layers, by position."""

    top: Int[Tensor, "layer pos k"]
    probabilities: Float[Tensor, "layer pos k"]
    rank: Int[Tensor, "layer pos"]
    log_prob: Float[Tensor, "layer pos"]
    entropy: Float[Tensor, "layer pos"]
    kl: Float[Tensor, "layer pos"]


def _read(
    head: Head, streams: Float[Tensor, "layer pos d_model"], aims: Int[Tensor, " pos"], k: int
) -> _Rows:
    """Read streams, a few layers at a time: the unembedding is fetched once for all of these."""
    parts: list[_Rows] = []
    below: Float[Tensor, "pos d_vocab"] | None = None  # the last layer's, as probabilities
    for some in streams.split(max(1, AT_ONCE // (head.d_vocab * streams.shape[1]))):
        read = at_least_float32(head(some.flatten(0, 1)))
        log_probs = read.log_softmax(-1).unflatten(0, some.shape[:2])
        values, top = _largest(log_probs, k)
        own = log_probs.gather(-1, aims.clamp(min=0).expand(some.shape[:2])[..., None])
        probs = log_probs.exp()
        entropy = -(probs * log_probs).sum(-1)
        kl = torch.full_like(entropy, float("nan"))
        if below is not None:
            parts[-1].kl[-1] = _kl(parts[-1].entropy[-1], below, log_probs[0])
        kl[:-1] = _kl(entropy[:-1], probs[:-1], log_probs[1:])
        below = probs[-1]
        rank = log_probs.gt_(own).sum(-1).long()  # in place: five times as fast as by Booleans
        parts.append(
            _Rows(
                top,
                values.exp(),
                rank.masked_fill(aims < 0, -1),
                own[..., 0].masked_fill(aims < 0, float("nan")),
                entropy,
                kl,
            )
        )
    return _Rows(
        *(torch.cat(each) for each in zip(*(vars(part).values() for part in parts), strict=True))
    )


def _largest(
    values: Float[Tensor, "*at d_vocab"], k: int, block: int = 64
) -> tuple[Float[Tensor, "*at k"], Int[Tensor, "*at k"]]:
    """As `topk`, which takes six times as long: the largest are in the blocks of largest maxima."""
    count = values.shape[-1]
    if count % block or k > count // block:
        return values.topk(k)
    blocks = values.unflatten(-1, (-1, block))
    at = blocks.amax(-1).topk(k).indices
    found, place = blocks.gather(-2, at[..., None].expand(*at.shape, block)).flatten(-2).topk(k)
    return found, at.gather(-1, place // block) * block + place % block


def _kl(
    entropy: Float[Tensor, "*at"],
    probs: Float[Tensor, "*at d_vocab"],
    of_next: Float[Tensor, "*at d_vocab"],
) -> Float[Tensor, "*at"]:
    """KL(this ‖ next), nats; the difference of two rounded sums, which is never negative."""
    return (-entropy - (probs * of_next).sum(-1)).clamp(min=0.0)


def _streams(
    model: HookedModel, batch: TokenBatch, steering: Steering, prompt_length: int
) -> Float[Tensor, "layer pos d_model"]:
    """What enters each layer, and what leaves the last, in this order."""
    interventions = as_interventions(steering)
    edits = [edit for one in interventions for edit in one.edits(model)]
    plain = plain_for(model, edits)
    hooks = [*map(resid_pre, range(n_layers(model))), resid_end(model)]
    with (
        apply_edits(model, edits, [prompt_length], rows_of(interventions), plain),
        captured(model, hooks, plain=plain) as found,
    ):
        if plain is None:
            logits(model, batch.tokens)
        else:
            cached_forward(model, plain)(batch.tokens, batch.attention_mask)
    return torch.stack([found[hook][0] for hook in hooks])


def _decoder(model: HookedModel) -> Callable[[int], str]:
    return lambda token_id: visible_token(model.tokenizer, token_id)
