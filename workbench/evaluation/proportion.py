"""A share of successes with its Wilson interval."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from operator import index
from typing import SupportsIndex

import pandas as pd


@dataclass(frozen=True)
class Proportion:
    """How many of `n` succeeded, with the interval in which the true rate plausibly lies.

    `low` and `high` bound the rate (0 to 1) at the given confidence. Made by `proportion`.
    """

    successes: int
    n: int
    low: float
    high: float
    confidence: float = 0.95

    @property
    def rate(self) -> float:
        """The observed share, 0 to 1."""
        return self.successes / self.n

    def to_frame(self) -> pd.DataFrame:
        """One row: successes, n, rate, low, high, confidence."""
        row = asdict(self)
        return pd.DataFrame([{key: row[key] for key in ("successes", "n")}]).assign(
            rate=self.rate, low=self.low, high=self.high, confidence=self.confidence
        )

    def __str__(self) -> str:
        interval = f"{100 * self.low:.0f}-{100 * self.high:.0f}%"
        share = f"{self.successes}/{self.n} ({self.rate:.0%}"
        return f"{share}, {100 * self.confidence:g}% CI {interval})"


def proportion(successes: SupportsIndex, n: SupportsIndex, confidence: float = 0.95) -> Proportion:
    """Count `successes` out of `n` with the Wilson score interval (no continuity correction).

    Wilson, because it stays inside 0..1 and keeps its coverage at the small samples and the
    extreme rates (0 of 24, 24 of 24) that steering experiments are full of.
    """
    try:
        hits, trials = index(successes), index(n)
    except TypeError:
        raise ValueError(
            f"a proportion needs whole numbers, got successes={successes!r} and n={n!r}"
        ) from None
    if trials < 1:
        raise ValueError(f"a proportion needs at least one trial, got n={trials}")
    if not 0 <= hits <= trials:
        raise ValueError(f"successes must lie between 0 and n={trials}, got {hits}")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie between 0 and 1, got {confidence}")
    # Imported here: scipy.stats takes half a second, and only counting needs it.
    from scipy.stats import binomtest

    interval = binomtest(hits, trials).proportion_ci(confidence, method="wilson")
    return Proportion(hits, trials, float(interval.low), float(interval.high), float(confidence))
