"""Generate text under steering, many prompts at a time or one token at a time."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from tqdm.auto import tqdm

from workbench.models.cached import cached_forward
from workbench.models.hooked import HookedModel, undisturbed
from workbench.models.identity import facts_of
from workbench.models.text import check_context, pad, prompt_ids
from workbench.steering.decoding import Steps, Written, log_prob_of, write
from workbench.steering.hooks import apply_edits, plain_for
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
    min_new_tokens: int = 0,
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
    turn, which is not chosen before `min_new_tokens` are there. Interventions that go row by row
    have one vector a prompt.

    Raises ValueError for a prompt that does not fit the context with its answer, and for
    positions that count from the end of a text.
    """
    prompts = [prompts] if isinstance(prompts, str) else list(prompts)
    interventions = as_interventions(steering)
    _check_request(prompts, interventions, max_new_tokens, min_new_tokens, n)
    ids = [prompt_ids(model, prompt) for prompt in prompts]
    for i, row in enumerate(ids):
        check_context(model, len(row) + max_new_tokens, f"prompt {i} with its new tokens")
    # Rows are made in order of length, so that little is padded, and given back in the order asked.
    owner = [i for i in range(len(prompts)) for _ in range(n)]
    order = sorted(range(len(owner)), key=lambda row: len(ids[owner[row]]))
    seeds = row_seeds(seed, len(owner))
    stop = facts_of(model).stop_ids
    made: list[Any] = [None] * len(owner)
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
            plain = plain_for(model, edits)
            with apply_edits(model, edits, batch.lengths, rows_of(taken), plain):
                forward = cached_forward(model, plain)
                written = write(forward, batch, sampler, stop, min_new_tokens, details)
            for i, place in enumerate(rows):
                made[place] = (
                    _generation(model, written, i)
                    if details
                    else _decode(model, written.ids(i).tolist())
                )
            bar.update(len(rows))
    return made if n == 1 else [made[i * n : (i + 1) * n] for i in range(len(prompts))]


@torch.no_grad()
def stream(
    model: HookedModel,
    prompt: str,
    steering: Steering = (),
    max_new_tokens: int = 64,
    temperature: int | float = 0.0,
    top_p: int | float = 1.0,
    seed: int | None = None,
) -> Generator[StreamedToken, None, None]:
    """Yield an answer token by token, with its log-prob steered and unsteered in the same context.

    Closing the generator between tokens cancels the rest; hooks are on the model only while a
    token is being made. Hooks of others act if they are on it when the first one is made. The
    last token may be the end of turn, whose text is empty.
    """
    interventions = as_interventions(steering)
    _check_request([prompt], interventions, max_new_tokens)
    ids = prompt_ids(model, prompt)
    check_context(model, len(ids) + max_new_tokens, f"the prompt with {max_new_tokens} new tokens")
    sampler = Sampler.of(temperature, top_p, row_seeds(seed, 1), max_new_tokens)
    stop = set(facts_of(model).stop_ids)
    # Two rows of one batch: the first is steered, the second reads the same tokens unsteered.
    twice = [one.taking([0, 0]) for one in interventions]
    edits = [_first_row_only(edit) for one in twice for edit in one.edits(model)]
    batch = pad(model, [ids, ids], side="left")
    with undisturbed(model):
        plain = plain_for(model, edits)
    steps = Steps(cached_forward(model, plain), batch, max_new_tokens)
    written: list[int] = []
    for step in range(max_new_tokens):
        # The plain model is of its own mode; a bridge is put back into its own for every token.
        calm = undisturbed(model) if plain is None else nullcontext()
        with calm, apply_edits(model, edits, batch.lengths, rows=2, plain=plain):
            logits = steps.next_logits()
        token = int(sampler(logits[:1], step))
        chosen = torch.full((2,), token, device=logits.device)
        log_probs = log_prob_of(logits, chosen)
        steps.take(chosen)
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


def _generation(model: HookedModel, written: Written, row: int) -> Generation:
    """One row of what was written, with its log-probs."""
    assert written.log_probs is not None
    tokens = written.ids(row)
    return Generation(
        text=_decode(model, tokens.tolist()),
        tokens=tokens,
        log_probs=written.log_probs[row, : len(tokens)],
        stopped=written.stopped[row],
    )


def _check_request(
    prompts: Sequence[str],
    interventions: Sequence[Intervention],
    max_new_tokens: int,
    min_new_tokens: int = 0,
    n: int = 1,
) -> None:
    if not prompts:
        raise ValueError("there is no prompt to generate from")
    if max_new_tokens < 1 or n < 1:
        raise ValueError(f"max_new_tokens and n must be at least 1, got {max_new_tokens} and {n}")
    if not 0 <= min_new_tokens <= max_new_tokens:
        raise ValueError(
            f"min_new_tokens must be 0 to max_new_tokens, got {min_new_tokens} of {max_new_tokens}"
        )
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
