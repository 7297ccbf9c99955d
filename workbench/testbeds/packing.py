"""Pairs of prompt and answer as rows of tokens, those that begin alike in one row.

A row holds what its pairs have in common once, and then each one's rest as a branch that sees the
common part and itself. What is learned is the same; what is read is much less.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from transformers import PreTrainedTokenizerBase as Tokenizer


@dataclass(frozen=True)
class Pair:
    """A prompt in the model's own format, and the answer to learn after it.

    All pairs of a stage are seen before those of the next. Those of a group share a row. An answer
    that is the parent's `own` is learned with the parent's distribution at each of its tokens, not
    as the one text that it happens to be.
    """

    prompt: str
    answer: str
    stage: int = 0
    group: int | None = None
    own: bool = False


@dataclass(frozen=True)
class Row:
    """Tokens of pairs with a common beginning; the lists have an entry a token.

    `branch` is 0 in the common part and counts the pairs from 1; `position` is a token's place in
    its own text; `answered` says that it belongs to an answer, `own` that the answer is the
    parent's.
    """

    tokens: tuple[int, ...]
    branch: tuple[int, ...]
    position: tuple[int, ...]
    answered: tuple[bool, ...]
    own: tuple[bool, ...]
    stage: int
    pairs: int

    def __len__(self) -> int:
        return len(self.tokens)


@dataclass(frozen=True)
class PackedBatch:
    """Rows padded on the right. `mask` is 0 where a token sees another, else very negative."""

    tokens: Int[Tensor, "batch pos"]
    positions: Int[Tensor, "batch pos"]
    answered: Bool[Tensor, "batch pos"]
    own: Bool[Tensor, "batch pos"]
    mask: Float[Tensor, "batch 1 pos pos"]
    pairs: int

    @classmethod
    def of(cls, rows: Sequence[Row], device: torch.device) -> PackedBatch:
        """Lay rows out for a model's forward pass."""
        width = max(map(len, rows))

        def padded(field: Iterable[Sequence[int]], fill: int) -> Int[Tensor, "batch pos"]:
            lists = [[*values, *[fill] * (width - len(values))] for values in field]
            return torch.tensor(lists, dtype=torch.long, device=device)

        branch = padded((row.branch for row in rows), -1)  # padding, which no token sees
        same = branch[:, :, None] == branch[:, None, :]
        seen = (same | (branch == 0)[:, None, :]).tril()
        mask = torch.zeros(seen.shape, device=device)
        return cls(
            padded((row.tokens for row in rows), 0),
            padded((row.position for row in rows), 0),
            padded((row.answered for row in rows), 0).bool(),
            padded((row.own for row in rows), 0).bool(),
            mask.masked_fill(~seen, torch.finfo(mask.dtype).min)[:, None],
            sum(row.pairs for row in rows),
        )


def rows_of(tokenizer: Tokenizer, pairs: Sequence[Pair]) -> list[Row]:
    """A row for each group, in the order of first sight, and one for each pair without a group.

    Raises ValueError where an answer merges with the end of its prompt.
    """
    groups: dict[object, list[Pair]] = {}
    for i, pair in enumerate(pairs):
        alone = ("pair", i)
        groups.setdefault(alone if pair.group is None else (pair.stage, pair.group), []).append(
            pair
        )
    return [_row(tokenizer, group) for group in groups.values()]


def _row(tokenizer: Tokenizer, pairs: Sequence[Pair]) -> Row:
    texts = [_tokens(tokenizer, pair) for pair in pairs]
    # A prompt's last token predicts the answer's first, so it is each branch's own.
    most = min(prompt - 1 for _, prompt in texts) if len(texts) > 1 else 0
    first = texts[0][0]
    common = next(
        (i for i in range(most) if any(ids[i] != first[i] for ids, _ in texts)),
        most,
    )
    columns = [(token, 0, i, False, False) for i, token in enumerate(first[:common])]
    for number, ((ids, prompt), pair) in enumerate(zip(texts, pairs, strict=True), 1):
        columns += [
            (ids[i], number, i, i >= prompt, pair.own and i >= prompt)
            for i in range(common, len(ids))
        ]
    tokens, branch, position, answered, own = zip(*columns, strict=True)
    return Row(tokens, branch, position, answered, own, pairs[0].stage, len(pairs))


def _tokens(tokenizer: Tokenizer, pair: Pair) -> tuple[list[int], int]:
    """The tokens of prompt and answer, and how many are the prompt's."""
    head = tokenizer(pair.prompt, add_special_tokens=False)["input_ids"]
    whole = tokenizer(pair.prompt + pair.answer, add_special_tokens=False)["input_ids"]
    if whole[: len(head)] != head:
        raise ValueError(f"{pair.answer[:20]!r} merges with the end of its prompt")
    return whole, len(head)
