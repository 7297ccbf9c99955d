"""The paper's numbers beside ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from workbench.evaluation import Interval, Proportion


def beside(published: Mapping[str, Any], ours: Mapping[str, Any]) -> pd.DataFrame:
    """One row a measure: what the paper found, and what was found here, in words.

    Measures that only one of them has are left empty on the other's side; a side with none at all
    has no column.
    """
    sides = {"paper": published, "here": ours}
    table = pd.DataFrame(
        {
            "measure": name,
            "paper": in_words(published.get(name), _unit(name)),
            "here": in_words(ours.get(name), _unit(name)),
        }
        for name in dict.fromkeys([*published, *ours])
    )
    return table.drop(columns=[side for side, measures in sides.items() if not measures])


def in_words(value: Any, unit: str = "") -> str:
    """A share as percent, with its interval where there is one; texts as they are.

    A number that has a `unit` is no share.
    """
    if value is None:
        return ""
    if isinstance(value, Proportion):
        return str(value)
    if isinstance(value, Interval):
        interval = f"95% CI {100 * value.low:.0f}-{100 * value.high:.0f}%"
        return (
            f"{value.mean:.0%} ({value.n_vectors} vectors, {value.n_prompts} prompts, {interval})"
        )
    if isinstance(value, int | float) and unit:
        return f"{value:.2f} {unit}"
    if isinstance(value, int | float):
        return f"{value:.1%}" if 0 <= value <= 1 else f"{value:.2f}"
    return str(value)


def _unit(measure: str) -> str:
    """Measures in bits say so in their first word; the others are shares, or bare numbers."""
    return "bits" if measure.split(" ")[0] == "bits" else ""
