"""How likely a model finds completions of prompts, steered or not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
import torch
from jaxtyping import Float, Int
from torch import Tensor
from tqdm.auto import tqdm

from workbench.models.cached import columns_of
from workbench.models.hooked import HookedModel, logits, undisturbed
from workbench.models.text import TokenBatch, check_context, completion_ids, pad
from workbench.steering.hooks import apply_edits, plain_for
from workbench.steering.interventions import Steering, as_interventions, rows_of
from workbench.steering.window import TokenWindow

DEFAULT_BATCH = 16


@dataclass(frozen=True)
class CompletionRows:
    """Prompts with their completions, one a row, padded on the right.

    `row`, `column` and `target` say for each completion token, all rows in sequence: the row it is
    in, the column whose logits predict it, and its id.
    """

    batch: TokenBatch
    prompt_lengths: Int[Tensor, " batch"]
    row: Int[Tensor, " token"]
    column: Int[Tensor, " token"]
    target: Int[Tensor, " token"]

    @classmethod
    def of(
        cls,
        model: HookedModel,
        prompts: Sequence[str],
        completions: Sequence[str],
        generated: bool = False,
    ) -> CompletionRows:
        """Tokenize pairs; `generated` as for `completion_ids`.

        Raises ValueError for a merged boundary or a text over the context.
        """
        return cls.of_ids(
            model,
            [
                completion_ids(model, prompt, completion, generated)
                for prompt, completion in zip(prompts, completions, strict=True)
            ],
        )

    @classmethod
    def of_ids(
        cls, model: HookedModel, pairs: Sequence[tuple[list[int], list[int]]]
    ) -> CompletionRows:
        """Lay out prompts and completions that are tokens already."""
        for i, (head, tail) in enumerate(pairs):
            check_context(model, len(head) + len(tail), f"prompt {i} with its completion")
        batch = pad(model, [head + tail for head, tail in pairs], side="right")
        spots = [
            (i, len(head) - 1 + k, token)
            for i, (head, tail) in enumerate(pairs)
            for k, token in enumerate(tail)
        ]
        row, column, target = torch.tensor(spots, device=batch.tokens.device).unbind(-1)
        lengths = torch.tensor([len(head) for head, _ in pairs], device=batch.tokens.device)
        return cls(batch, lengths, row, column, target)

    @property
    def window(self) -> TokenWindow:
        """What a pass over all of the rows sees."""
        return TokenWindow.of(self.batch, self.prompt_lengths)

    def read_logits(
        self, model: HookedModel, steering: Steering = ()
    ) -> Float[Tensor, "token d_vocab"]:
        """The logits that predict each completion token under `steering`, in the weights' dtype."""
        return read_at(model, self.batch, self.row, self.column, steering, self.prompt_lengths)


@dataclass(frozen=True)
class LogProbs:
    """Log-probabilities of completions, in nats: `total` of each, and of each of its tokens."""

    completions: tuple[str, ...]
    total: Float[Tensor, " completion"]
    token_log_probs: tuple[Float[Tensor, " _"], ...]
    tokens: tuple[tuple[str, ...], ...]
    coldness: int | float

    @property
    def mean(self) -> Float[Tensor, " completion"]:
        """The mean over each completion's tokens, in nats a token."""
        return torch.stack([each.mean() for each in self.token_log_probs])

    def to_frame(self) -> pd.DataFrame:
        """One row a token: completion, place, token, log_prob in nats."""
        return pd.DataFrame(
            {"completion": i, "place": k, "token": token, "log_prob": float(log_prob)}
            for i, (tokens, values) in enumerate(
                zip(self.tokens, self.token_log_probs, strict=True)
            )
            for k, (token, log_prob) in enumerate(zip(tokens, values, strict=True))
        )

    def __len__(self) -> int:
        return len(self.completions)


def read_at(
    model: HookedModel,
    batch: TokenBatch,
    row: Int[Tensor, " some"],
    column: Int[Tensor, " some"],
    steering: Steering = (),
    prompt_lengths: Int[Tensor, " batch"] | None = None,
) -> Float[Tensor, "some d_vocab"]:
    """The logits at some places of rows padded on the right, under `steering`.

    Of a plain model (models/plain.py) only columns that somebody reads are unembedded.
    """
    interventions = as_interventions(steering)
    edits = [edit for one in interventions for edit in one.edits(model)]
    plain = plain_for(model, edits)
    with apply_edits(model, edits, prompt_lengths, rows_of(interventions), plain):
        if plain is None:
            return logits(model, batch.tokens, batch.attention_mask)[row, column]
        columns, place = column.unique(return_inverse=True)
        return columns_of(plain, batch, columns)[row, place]


def at_least_float32(logits: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Half-precision logits as float32; others as they are."""
    return logits if logits.dtype.itemsize >= 4 else logits.float()


def log_softmax_at(
    read: Float[Tensor, "token d_vocab"], target: Int[Tensor, " token"], coldness: int | float
) -> Float[Tensor, " token"]:
    """`log softmax(coldness · logits)` at each target, in float32 at least."""
    scaled = coldness * at_least_float32(read)
    chosen = scaled.gather(-1, target[:, None]).squeeze(-1)
    return chosen - scaled.logsumexp(-1)


@torch.no_grad()
def log_prob(
    model: HookedModel,
    prompts: str | Sequence[str],
    completions: str | Sequence[str],
    steering: Steering = (),
    coldness: int | float = 1.0,
    batch_size: int = DEFAULT_BATCH,
    progress: bool = False,
    generated: bool = False,
) -> LogProbs:
    """Log-probability of each completion after its prompt, in nats, under `steering`.

    One prompt goes with every completion; otherwise they go in pairs. Probabilities are
    `softmax(coldness · logits)`. A completion that was `generated` after its prompt is scored by
    its own tokens where the two would merge.

    Raises ValueError for texts that do not pair up, that merge at their boundary unless they were
    `generated`, or that are longer than the context.
    """
    prompts, completions = _paired(prompts, completions)
    interventions = as_interventions(steering)
    values: list[Tensor] = []
    tokens: list[tuple[str, ...]] = []
    with undisturbed(model):
        starts = range(0, len(prompts), batch_size)
        for start in tqdm(starts, desc="scoring", disable=not progress):
            which = range(start, min(start + batch_size, len(prompts)))
            rows = CompletionRows.of(
                model,
                [prompts[i] for i in which],
                [completions[i] for i in which],
                generated,
            )
            taken = [one.taking(which) for one in interventions]
            read = rows.read_logits(model, taken)
            counts = rows.row.bincount(minlength=len(which)).tolist()
            values += log_softmax_at(read, rows.target, coldness).cpu().split(counts)
            tokens += [
                tuple(model.tokenizer.decode([i]) for i in ids.tolist())
                for ids in rows.target.split(counts)
            ]
    return LogProbs(
        completions=tuple(completions),
        total=torch.stack([each.sum() for each in values]),
        token_log_probs=tuple(values),
        tokens=tuple(tokens),
        coldness=coldness,
    )


def _paired(
    prompts: str | Sequence[str], completions: str | Sequence[str]
) -> tuple[list[str], list[str]]:
    completions = [completions] if isinstance(completions, str) else list(completions)
    prompts = [prompts] * len(completions) if isinstance(prompts, str) else list(prompts)
    if not completions or len(prompts) != len(completions):
        raise ValueError(
            f"{len(prompts)} prompts and {len(completions)} completions do not pair up"
        )
    return prompts, completions
