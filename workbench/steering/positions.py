"""Which tokens an intervention edits: declared once, and the same everywhere.

A `TokenWindow` says what one forward pass sees: which of a row's tokens its columns are, where
the prompt ends, what is padding. `Positions` turns it into a mask. So training, scoring and
cached generation ask the same question of the same object, and nobody counts columns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from operator import index as whole
from typing import Any, Literal

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from workbench.models.hooked import HookedModel
from workbench.steering.window import TokenWindow

Kind = Literal["all", "prompt", "completion", "last", "span", "tokens", "mask", "either", "both"]


@dataclass(frozen=True, eq=False)
class Positions:
    """Token positions, made with `all()`, `prompt()`, `completion()`, `last(k)` and so on."""

    kind: Kind
    start: int | None = None
    stop: int | None = None
    chosen: tuple[int | str, ...] = ()
    own: Bool[Tensor, "*batch pos"] | None = None
    parts: tuple[Positions, ...] = ()

    # ---- Making one ----

    @classmethod
    def all(cls) -> Positions:
        """Every token."""
        return cls("all")

    @classmethod
    def prompt(cls) -> Positions:
        """The prompt's tokens."""
        return cls("prompt")

    @classmethod
    def completion(cls) -> Positions:
        """The tokens after the prompt."""
        return cls("completion")

    @classmethod
    def last(cls, k: int = 1) -> Positions:
        """The last k tokens of the prompt."""
        if k < 1:
            raise ValueError(f"last(k) needs k of 1 or more, got {k}")
        return cls("last", start=k)

    @classmethod
    def span(cls, start: int | None, stop: int | None = None) -> Positions:
        """A Python slice over the tokens of prompt and completion, padding not counted.

        A negative bound counts from the end of the whole text, so it needs a text that is known.
        """
        return cls("span", start=start, stop=stop)

    @classmethod
    def at_tokens(cls, tokens: int | str | Sequence[int | str]) -> Positions:
        """Wherever one of these tokens stands: ids, or texts that are one token each."""
        chosen = (tokens,) if isinstance(tokens, int | str) else tuple(tokens)
        if not chosen:
            raise ValueError("at_tokens needs at least one token")
        return cls("tokens", chosen=chosen)

    @classmethod
    def mask(cls, own: Tensor) -> Positions:
        """A Bool tensor of one's own over each row's real tokens: (pos) or (batch, pos).

        Tokens beyond its width are not edited.
        """
        own = torch.as_tensor(own)
        if own.dtype != torch.bool or own.ndim not in (1, 2):
            raise ValueError(
                f"positions as a tensor must be Bool of shape (pos) or (batch, pos); "
                f"got {own.dtype} of shape {tuple(own.shape)}"
            )
        return cls("mask", own=own)

    @classmethod
    def of(cls, positions: Positions | Tensor) -> Positions:
        """Positions as given, or a Bool tensor as positions."""
        return positions if isinstance(positions, Positions) else cls.mask(positions)

    def __or__(self, other: Positions) -> Positions:
        """Where either holds: `Positions.last(5) | Positions.completion()`."""
        return Positions("either", parts=(self, other))

    def __and__(self, other: Positions) -> Positions:
        """Where both hold: `Positions.completion() & Positions.at_tokens("\\n")`."""
        return Positions("both", parts=(self, other))

    # ---- As plain JSON ----

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON that `from_dict` reads back."""
        rest = {
            "start": self.start,
            "stop": self.stop,
            "chosen": list(self.chosen) or None,
            "own": None if self.own is None else self.own.tolist(),
            "parts": [part.to_dict() for part in self.parts] or None,
        }
        return {"kind": self.kind, **{k: v for k, v in rest.items() if v is not None}}

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Positions:
        """Read back what `to_dict` gave. Raises KeyError, TypeError or ValueError otherwise."""
        kind = record["kind"]
        if kind in ("all", "prompt", "completion"):
            return cls(kind)
        if kind == "last":
            return cls.last(whole(record["start"]))
        if kind == "span":
            ends = (record.get(bound) for bound in ("start", "stop"))
            return cls.span(*(None if end is None else whole(end) for end in ends))
        if kind == "tokens":
            return cls.at_tokens([t if isinstance(t, str) else whole(t) for t in record["chosen"]])
        if kind == "mask":
            return cls.mask(torch.tensor(record["own"], dtype=torch.bool))
        if kind in ("either", "both"):
            return cls(kind, parts=tuple(cls.from_dict(part) for part in record["parts"]))
        raise ValueError(f"there are no positions of kind {kind!r}")

    # ---- Using one ----

    @property
    def needs_whole_text(self) -> bool:
        """Whether it counts from the end of a text, so that it cannot be used while decoding."""
        if self.parts:
            return any(part.needs_whole_text for part in self.parts)
        return self.kind == "span" and any(
            bound is not None and bound < 0 for bound in (self.start, self.stop)
        )

    def bound_to(self, model: HookedModel) -> Positions:
        """The same positions with token texts turned into ids.

        Raises ValueError for a text that is several tokens.
        """
        return replace(
            self,
            chosen=tuple(_token_id(model, token) for token in self.chosen),
            parts=tuple(part.bound_to(model) for part in self.parts),
        )

    def taking(self, rows: Sequence[int]) -> Positions:
        """The same positions for some rows of a batch."""
        if self.parts:
            return replace(self, parts=tuple(part.taking(rows) for part in self.parts))
        if self.own is None or self.own.ndim == 1:
            return self
        return replace(self, own=self.own[list(rows)])

    def within(self, window: TokenWindow) -> Bool[Tensor, "batch pos"] | None:
        """Which columns of `window` are edited; None for every one.

        Editing padding changes nothing that is read, so `all` needs no mask.
        """
        index = window.index
        if self.kind == "all":
            return None
        if self.kind == "either":
            masks = [part.within(window) for part in self.parts]
            several = [mask for mask in masks if mask is not None]
            return None if len(several) < len(masks) else torch.stack(several).any(0)
        if self.kind == "both":
            given = [mask for part in self.parts if (mask := part.within(window)) is not None]
            return torch.stack(given).all(0) if given else None
        real = index >= 0
        ends = window.prompt_lengths[:, None]
        if self.kind == "prompt":
            return real & (index < ends)
        if self.kind == "completion":
            return index >= ends
        if self.kind == "last":
            return real & (index >= ends - int(self.start or 1)) & (index < ends)
        if self.kind == "span":
            return real & self._in_span(window)
        if self.kind == "tokens":
            if window.tokens is None:
                raise ValueError("positions at tokens need token ids, but this pass has none")
            chosen = torch.tensor(self.chosen, device=index.device)
            return real & torch.isin(window.tokens, chosen)
        return real & self._own_at(index)

    def _in_span(self, window: TokenWindow) -> Bool[Tensor, "batch pos"]:
        if self.needs_whole_text and window.lengths is None:
            raise ValueError(
                f"{self} counts from the end of the text, which is not known while decoding: "
                "use Positions.last(k) for the end of the prompt"
            )

        def absolute(bound: int) -> int | Int[Tensor, "batch 1"]:
            if bound >= 0:
                return bound
            assert window.lengths is not None
            return window.lengths[:, None] + bound

        inside = torch.ones_like(window.index, dtype=torch.bool)
        if self.start is not None:
            inside &= window.index >= absolute(self.start)
        if self.stop is not None:
            inside &= window.index < absolute(self.stop)
        return inside

    def _own_at(self, index: Int[Tensor, "batch pos"]) -> Bool[Tensor, "batch pos"]:
        assert self.own is not None
        own = self.own.to(index.device)
        if own.ndim == 2 and own.shape[0] != index.shape[0]:
            raise ValueError(
                f"the positions tensor has {own.shape[0]} rows, the batch has {index.shape[0]} "
                "(axis batch)"
            )
        if own.shape[-1] == 0:
            return torch.zeros_like(index, dtype=torch.bool)
        own = own.expand(index.shape[0], -1)
        covered = (index >= 0) & (index < own.shape[1])
        return covered & own.gather(1, index.clamp(0, own.shape[1] - 1))

    def __str__(self) -> str:
        if self.kind == "last":
            return f"last({self.start})"
        if self.kind == "span":
            return f"span({self.start}, {self.stop})"
        if self.kind == "tokens":
            return f"at_tokens({', '.join(map(repr, self.chosen))})"
        if self.kind == "either":
            return " | ".join(map(str, self.parts))
        if self.kind == "both":
            return " & ".join(f"({part})" if part.parts else str(part) for part in self.parts)
        if self.own is not None:
            return f"mask of shape {tuple(self.own.shape)}, {int(self.own.sum())} true"
        return self.kind

    def __repr__(self) -> str:
        return f"Positions<{self}>"


def _token_id(model: HookedModel, token: int | str) -> int:
    if isinstance(token, int):
        return token
    ids = model.tokenizer(token, add_special_tokens=False)["input_ids"]
    if len(ids) != 1:
        pieces = [model.tokenizer.decode([i]) for i in ids]
        raise ValueError(
            f"at_tokens takes texts of one token; {token!r} is {len(ids)} tokens: {pieces}. "
            "Name the one you mean, or give ids"
        )
    return int(ids[0])
