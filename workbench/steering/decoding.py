"""Write the rows of a batch token by token. Knows nothing of steering, nor of what model runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import pad

from workbench.models.text import TokenBatch
from workbench.steering.sampling import Sampler

# From the new tokens and the mask of everything so far to the logits after the last (batch d_vocab)
Forward = Callable[[Tensor, Tensor], Tensor]


class Steps:
    """A batch being written, one token a row at a time, `limit` at most."""

    def __init__(self, forward: Forward, batch: TokenBatch, limit: int):
        self._forward, self._new = forward, batch.tokens
        self._mask = pad(batch.attention_mask, (0, limit), value=1)
        self._seen = batch.tokens.shape[1]

    def next_logits(self) -> Float[Tensor, "batch d_vocab"]:
        """Logits after everything taken so far."""
        return self._forward(self._new, self._mask[:, : self._seen])

    def take(self, tokens: Int[Tensor, " batch"]) -> None:
        """Go on with these tokens."""
        self._new = tokens[:, None]
        self._seen += 1


@dataclass(frozen=True)
class Written:
    """The rows' new tokens on the CPU, of which the first `lengths` count.

    `stopped` says whether the last of these is a stop token. `log_probs` are in nats.
    """

    tokens: Int[Tensor, "batch token"]
    lengths: list[int]
    stopped: list[bool]
    log_probs: Float[Tensor, "batch token"] | None

    def ids(self, row: int) -> Int[Tensor, " token"]:
        """The tokens of a row, the one that ended it included."""
        return self.tokens[row, : self.lengths[row]]


def write(
    forward: Forward,
    batch: TokenBatch,
    sampler: Sampler,
    stop_ids: Sequence[int],
    min_new_tokens: int = 0,
    with_log_probs: bool = False,
) -> Written:
    """Write every row to its end: a stop token, or as many tokens as the sampler has draws.

    The first `min_new_tokens` are none of `stop_ids`; log-probs are the model's own all the same.
    """
    device, limit = batch.tokens.device, sampler.draws.shape[1]
    stop = torch.tensor(stop_ids, dtype=torch.long, device=device)
    done: Bool[Tensor, " batch"] = torch.zeros(len(batch.tokens), dtype=torch.bool, device=device)
    lengths = torch.zeros_like(batch.lengths)
    tokens: list[Tensor] = []
    log_probs: list[Tensor] = []
    steps = Steps(forward, batch, limit)
    for step in range(limit):
        logits = steps.next_logits()
        may_stop = step >= min_new_tokens
        token = sampler(logits if may_stop else logits.index_fill(-1, stop, -torch.inf), step)
        tokens.append(token)
        if with_log_probs:
            log_probs.append(log_prob_of(logits, token))
        lengths += ~done
        if may_stop:
            done |= torch.isin(token, stop)
            if done.all():
                break
        steps.take(token)
    return Written(
        tokens=torch.stack(tokens, 1).cpu(),
        lengths=lengths.tolist(),
        stopped=done.tolist(),
        log_probs=torch.stack(log_probs, 1).cpu() if with_log_probs else None,
    )


def log_prob_of(
    logits: Float[Tensor, "batch d_vocab"], token: Int[Tensor, " batch"]
) -> Float[Tensor, " batch"]:
    """Each row's log-prob of its token, in nats and in float32."""
    logits = logits.float()
    return logits.gather(-1, token[:, None]).squeeze(-1) - logits.logsumexp(-1)
