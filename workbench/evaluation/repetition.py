"""How much a text repeats itself."""

from __future__ import annotations

from collections.abc import Sequence

_LONG = 20  # characters: more than a long word


def distinct_share(text: str, n: int = 3) -> float:
    """The share of a text's n-grams of words that are distinct, 0 to 1: low where it loops.

    Of a text with fewer than n words the characters take their place where there are `_LONG` of
    them ("!!!!!!!!…" loops too); a shorter one repeats nothing (1), and one without words says
    nothing (0).
    """
    words: Sequence[str] = text.casefold().split()
    if len(words) < n and len(text.strip()) >= _LONG:
        words = text.strip()
    grams = [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]
    if not grams:
        return 1.0 if words else 0.0
    return len(set(grams)) / len(grams)
