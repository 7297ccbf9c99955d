"""Cut a list into parts that share nothing: training, validation, test."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeVar

Part = Literal["train", "validation", "test"]
PARTS: tuple[Part, ...] = ("train", "validation", "test")

_Entry = TypeVar("_Entry")


def part_of(entries: Sequence[_Entry], part: Part) -> list[_Entry]:
    """The first two thirds for training, a sixth for validation, the last sixth for the test."""
    first, second = len(entries) * 4 // 6, len(entries) * 5 // 6
    bounds = {"train": (0, first), "validation": (first, second), "test": (second, len(entries))}
    begin, end = bounds[part]
    return list(entries[begin:end])
