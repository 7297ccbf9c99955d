"""Text in figures: escaped, shortened, wrapped and unique.

Plotly renders a little HTML (<b>, <a href>, <br>, ...) in every label, title and hover text, fills
in %{...} in templates, and hands $...$ to MathJax where a notebook has loaded it. Text from models
and prompts must be seen, not obeyed, so all of it passes through `plain`.
"""

from __future__ import annotations

import textwrap
import unicodedata
from collections.abc import Sequence

MINUS, EN_DASH = "\u2212", "\u2013"

_ESCAPES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "$": "&#36;", "%{": "%&#123;"}


def plain(text: object) -> str:
    """Escape text so that Plotly shows exactly its characters.

    Line breaks and other invisible characters are shown as escapes (a newline as "\\n").
    """
    shown = "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in str(text)
    )
    for raw, escaped in _ESCAPES.items():
        shown = shown.replace(raw, escaped)
    return shown


def shorten(text: object, limit: int = 24) -> str:
    """Cut the middle out of a long text: labels mostly differ at their ends."""
    text = " ".join(str(text).split())
    if len(text) <= limit:
        return text
    tail = (limit - 1) // 3
    return f"{text[: limit - 1 - tail].rstrip()}…{text[len(text) - tail :].lstrip()}"


def wrap(text: object, width: int, limit: int | None = None) -> list[str]:
    """Split a text into lines of at most `width` characters, keeping at most `limit` of them."""
    lines = [
        line
        for part in str(text).splitlines()
        for line in (textwrap.wrap(part, width, break_on_hyphens=False) or [""])
    ]
    if limit is not None and len(lines) > limit:
        lines = [*lines[:limit], "…"]
    return lines


def hover_text(text: object, width: int = 60, limit: int = 12) -> str:
    """The whole of a text for a hover box: escaped, and broken into lines that fit."""
    return "<br>".join(plain(line) for line in wrap(text, width, limit))


def tick_labels(labels: Sequence[object], limit: int = 24) -> list[str]:
    """Short, escaped labels for ticks and legends, no two of them equal.

    Plotly merges equal categories, so those that look alike once shortened get a number.
    """
    taken: set[str] = set()
    unique = []
    for label in labels:
        short = shorten(label, limit)
        candidate, count = short, 1
        while candidate in taken:
            count += 1
            candidate = f"{short} ({count})"
        taken.add(candidate)
        unique.append(plain(candidate))
    return unique


def columns(text: str) -> int:
    """How many narrow characters wide a text is (wide ones, as in Chinese, count two)."""
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)
