"""Generate text under steering, many prompts at a time or one token at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from tqdm.auto import tqdm

from workbench.models.hooked import CachedForward, HookedModel, undisturbed
from workbench.models.identity import facts_of
from workbench.models.text import TokenBatch, check_context, pad, prompt_ids
from workbench.steering.hooks import apply_edits
from workbench.steering.interventions import (
    Edit,
    Intervention,
    Steering,
    as_interventions,
    rows_of,
)
from workbench.steering.sampling import Sampler, row_seeds

DEFAULT_BATCH = 32


@dataclass(frozen=True)
class Generation:
    """A generated text with its tokens and their log-probs in nats under the steered model.

    `tokens` and `log_probs` include the token that ended the answer, if one did (`stopped`).
    """

    text: str
    tokens: Int[Tensor, " token"]
    log_probs: Float[Tensor, " token"]
    stopped: bool


@dataclass(frozen=True)
class StreamedToken:
    """One generated token: its text, its log-prob in nats steered and unsteered."""

    token: int
    text: str
    log_prob: float
    unsteered_log_prob: float


@torch.no_grad()
def generate(
    model: HookedModel,
    prompts: str | Sequence[str],
    steering: Steering = (),
    max_new_tokens: int = 64,
    n: int = 1,
    temperature: int | float = 0.0,
    top_p: int | float = 1.0,
    seed: int | None = None,
    batch_size: int | None = None,
    progress: bool = True,
    details: bool = False,
) -> list[Any]:
    """What the model writes after each prompt: new text only, no prompt, no special tokens.

    One entry a prompt: a text, or with `n` over 1 a list of n texts; with `details` a
    `Generation` in place of each text. Temperature 0 is greedy. Rows stop at the model's end of
    turn. Interventions that go row by row have one vector a prompt.

    Raises ValueError for a prompt that does not fit the context with its answer, and for
    positions that count from the end of a text.
    """
    prompts = [prompts] if isinstance(prompts, str) else list(prompts)
    interventions = as_interventions(steering)
    _check_request(prompts, interventions, max_new_tokens, n)
    ids = [prompt_ids(model, prompt) for prompt in prompts]
    for i, row in enumerate(ids):
        check_context(model, len(row) + max_new_tokens, f"prompt {i} with its new tokens")
    # Rows are made in order of length, so that little is padded, and given back in the order asked.
    owner = [i for i in range(len(prompts)) for _ in range(n)]
    order = sorted(range(len(owner)), key=lambda row: len(ids[owner[row]]))
    seeds = row_seeds(seed, len(owner))
    made: list[Generation | None] = [None] * len(owner)
    size = batch_size or DEFAULT_BATCH
    with (
        undisturbed(model),
        tqdm(total=len(owner), desc="generating", unit="text", disable=not progress) as bar,
    ):
        for start in range(0, len(order), size):
            rows = order[start : start + size]
            taken = [one.taking([owner[row] for row in rows]) for one in interventions]
            edits = [edit for one in taken for edit in one.edits(model)]
            sampler = Sampler.of(temperature, top_p, [seeds[row] for row in rows], max_new_tokens)
            batch = pad(model, [ids[owner[row]] for row in rows], side="left")
            with apply_edits(model, edits, batch.lengths, rows_of(taken)):
                finished = _finish(model, batch, sampler)
            for place, generation in zip(rows, finished, strict=True):
                made[place] = generation
            bar.update(len(rows))
    results = [g if details else g.text for g in made if g is not None]
    return results if n == 1 else [results[i * n : (i + 1) * n] for i in range(len(prompts))]


@torch.no_grad()
def stream(
    model: HookedModel,
    prompt: str,
    steering: Steering = (),
    max_new_tokens: int = 64,
    temperature: int | float = 0.0,
    top_p: int | float = 1.0,
    seed: int | None = None,
) -> Iterator[StreamedToken]:
    """Yield an answer token by token, with its log-prob steered and unsteered in the same context.

    Closing the generator between tokens cancels the rest; hooks are on the model only while a
    token is being made. The last token may be the end of turn, whose text is empty.
    """
    interventions = as_interventions(steering)
    _check_request([prompt], interventions, max_new_tokens, n=1)
    ids = prompt_ids(model, prompt)
    check_context(model, len(ids) + max_new_tokens, f"the prompt with {max_new_tokens} new tokens")
    sampler = Sampler.of(temperature, top_p, row_seeds(seed, 1), max_new_tokens)
    stop = set(facts_of(model).stop_ids)
    # Two rows of one batch: the first is steered, the second reads the same tokens unsteered.
    twice = [one.taking([0, 0]) for one in interventions]
    edits = [_first_row_only(edit) for one in twice for edit in one.edits(model)]
    batch = pad(model, [ids, ids], side="left")
    steps = _Steps(model, batch)
    written: list[int] = []
    for step in range(max_new_tokens):
        with undisturbed(model), apply_edits(model, edits, batch.lengths, rows=2):
            logits = steps.next_logits()
        token = int(sampler(logits[:1], step))
        log_probs = logits.float().log_softmax(-1)[:, token]
        steps.take(torch.full((2,), token, device=logits.device))
        before = _decode(model, written)
        written.append(token)
        yield StreamedToken(
            token=token,
            text=_decode(model, written)[len(before) :],
            log_prob=float(log_probs[0]),
            unsteered_log_prob=float(log_probs[1]),
        )
        if token in stop:
            return


class _Steps:
    """A batch being written, one token a row at a time."""

    def __init__(self, model: HookedModel, batch: TokenBatch):
        self._forward = CachedForward(model)
        self._new, self._mask = batch.tokens, batch.attention_mask

    def next_logits(self) -> Float[Tensor, "batch d_vocab"]:
        """Logits after everything taken so far."""
        return self._forward(self._new, self._mask)

    def take(self, tokens: Int[Tensor, " batch"]) -> None:
        """Go on with these tokens."""
        self._new = tokens[:, None]
        self._mask = torch.cat([self._mask, torch.ones_like(self._new)], dim=1)


def _finish(model: HookedModel, batch: TokenBatch, sampler: Sampler) -> list[Generation]:
    """Write every row of a batch to its end."""
    count = len(batch.tokens)
    stop = torch.tensor(facts_of(model).stop_ids, dtype=torch.long, device=batch.tokens.device)
    done: Bool[Tensor, " batch"] = torch.zeros(count, dtype=torch.bool, device=batch.tokens.device)
    lengths = torch.zeros_like(batch.lengths)
    tokens: list[Tensor] = []
    log_probs: list[Tensor] = []
    steps = _Steps(model, batch)
    for step in range(sampler.draws.shape[1]):
        logits = steps.next_logits()
        token = sampler(logits, step)
        chosen = logits.gather(-1, token[:, None]).squeeze(-1).float()
        tokens.append(token)
        log_probs.append(chosen - logits.float().logsumexp(-1))
        lengths += ~done
        done |= torch.isin(token, stop)
        if done.all():
            break
        steps.take(token)
    all_tokens, all_log_probs = torch.stack(tokens, 1).cpu(), torch.stack(log_probs, 1).cpu()
    return [
        Generation(
            text=_decode(model, all_tokens[i, :length].tolist()),
            tokens=all_tokens[i, :length],
            log_probs=all_log_probs[i, :length],
            stopped=bool(done[i]),
        )
        for i, length in enumerate(lengths.tolist())
    ]


def _check_request(
    prompts: Sequence[str], interventions: Sequence[Intervention], max_new_tokens: int, n: int
) -> None:
    if not prompts:
        raise ValueError("there is no prompt to generate from")
    if max_new_tokens < 1 or n < 1:
        raise ValueError(f"max_new_tokens and n must be at least 1, got {max_new_tokens} and {n}")
    rows = rows_of(interventions)
    if rows is not None and rows != len(prompts):
        raise ValueError(
            f"the interventions are made for {rows} rows, but there are {len(prompts)} prompts"
        )
    for one in interventions:
        positions = getattr(one, "positions", None)
        if getattr(positions, "needs_whole_text", False):
            raise ValueError(
                f"{positions} counts from the end of the text, which is not known while "
                "generating: use Positions.last(k) for the end of the prompt"
            )


def _first_row_only(edit: Edit) -> Edit:
    """The edit on the first row of two."""
    rows = torch.ones(2, dtype=torch.bool) if edit.rows is None else edit.rows.clone()
    rows[1] = False
    return replace(edit, rows=rows)


def _decode(model: HookedModel, ids: Sequence[int]) -> str:
    return model.tokenizer.decode(list(ids), skip_special_tokens=True)
