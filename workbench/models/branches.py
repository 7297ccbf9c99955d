"""Completions that share a prompt share its computation: one row, several branches.

A shared row is a prompt followed by its completions, one after the other. Each completion is a
branch: it sees the prompt and itself, and its positions go on where the prompt ends. Nothing of
that is asked of the model. The lower blocks have run once on separate rows, a prompt and one
completion each, and everything a later block was given there (stream, masks, positions) is
gathered into the shared rows, each layer's own mask included. So it works for any model whose
blocks are told all this by their arguments; whoever uses it compares the outcome (models/tail.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Int, Shaped
from torch import Tensor

_PROMPT, _PADDING = -1, -2


@dataclass(frozen=True, eq=False)
class Branches:
    """For each column of each shared row: the separate row and column that it is taken from.

    `branch` is the number of the completion that a column belongs to, -1 in the prompt and -2 on
    padding, which takes the row's first token.
    """

    row: Int[Tensor, "shared pos"]
    column: Int[Tensor, "shared pos"]
    branch: Int[Tensor, "shared pos"]
    groups: tuple[tuple[int, ...], ...]
    prompt_lengths: tuple[int, ...]

    @classmethod
    def of(
        cls,
        prompt_lengths: Int[Tensor, " batch"],
        lengths: Int[Tensor, " batch"],
        groups: Sequence[Sequence[int]],
    ) -> Branches:
        """Lay out groups of separate rows whose prompts are the same; rows are padded right."""
        heads, ends = prompt_lengths.tolist(), lengths.tolist()
        laid_out = []
        for group in groups:
            places = [(group[0], column, _PROMPT) for column in range(heads[group[0]])]
            for branch, row in enumerate(group):
                places += [(row, column, branch) for column in range(heads[row], ends[row])]
            laid_out.append(places)
        width = max(map(len, laid_out))
        padded = [each + [(each[0][0], 0, _PADDING)] * (width - len(each)) for each in laid_out]
        spots = torch.tensor(padded, device=lengths.device)
        return cls(
            row=spots[..., 0],
            column=spots[..., 1],
            branch=spots[..., 2],
            groups=tuple(map(tuple, groups)),
            prompt_lengths=tuple(heads),
        )

    def place_of(self, shared: int, row: int, column: int) -> int:
        """The column of shared row `shared` that holds `column` of the separate `row`."""
        group, head = self.groups[shared], self.prompt_lengths[row]
        if column < head:
            return column
        branch = group.index(row)
        first = int((self.branch[shared] == branch).nonzero()[0])
        return first + column - head

    def places_of(
        self, row: Int[Tensor, " some"], column: Int[Tensor, " some"]
    ) -> tuple[Int[Tensor, " some"], Int[Tensor, " some"]]:
        """Shared row and column that hold each `column` of a separate `row`."""
        home = {member: at for at, group in enumerate(self.groups) for member in group}
        found = [
            (home[r], self.place_of(home[r], r, c))
            for r, c in zip(row.tolist(), column.tolist(), strict=True)
        ]
        shared, place = torch.tensor(found, device=row.device).unbind(-1)
        return shared, place

    # ---- Gathering ----

    def columns_of(
        self, value: Shaped[Tensor, "some pos *rest"]
    ) -> Shaped[Tensor, "shared new_pos *rest"]:
        """What has a value for each row (or one for all) and column."""
        rows = self.row if value.shape[0] > 1 else torch.zeros_like(self.row)
        return value[rows, self.column]

    def mask_of(
        self, mask: Shaped[Tensor, "some head pos pos"]
    ) -> Shaped[Tensor, "shared head new_pos new_pos"]:
        """An attention mask, Bool or additive: no branch sees another, padding sees one token."""
        rows = self.row if mask.shape[0] > 1 else torch.zeros_like(self.row)
        picked = mask.movedim(1, -1)[
            rows[:, :, None], self.column[:, :, None], self.column[:, None]
        ]
        hidden = False if mask.dtype == torch.bool else torch.finfo(mask.dtype).min
        picked = picked.masked_fill(~self._sees()[..., None], hidden)
        blind = self.branch == _PADDING
        if blind.any():  # so that no query is left without a key
            shown = True if mask.dtype == torch.bool else 0.0
            first = torch.arange(self.branch.shape[1], device=mask.device) == 0
            picked = picked.masked_fill((blind[:, :, None] & first)[..., None], shown)
        return picked.movedim(-1, 1).contiguous()

    def _sees(self) -> Bool[Tensor, "shared pos pos"]:
        query, key = self.branch[:, :, None], self.branch[:, None]
        return (query != _PADDING) & ((key == _PROMPT) | (key == query))

    def arrange(self, value: Any, width: int, batch: int, done: dict[Any, Any]) -> Any:
        """A block's argument on the shared rows; `done` remembers what many blocks were given."""
        if isinstance(value, tuple | list):
            return type(value)(self.arrange(each, width, batch, done) for each in value)
        if not isinstance(value, Tensor) or value.ndim < 2 or value.shape[0] not in (1, batch):
            return value
        if id(value) not in done:
            if value.ndim == 4 and value.shape[2:] == (width, width):
                done[id(value)] = self.mask_of(value)
            elif value.shape[1] == width:
                done[id(value)] = self.columns_of(value)
            else:
                return value
        return done[id(value)]
