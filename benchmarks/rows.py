"""The rows of the table: a figure, the bound it has to keep, and how it was measured."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

HEADER = ("benchmark", "case", "measured", "bound", "met", "how")


@dataclass(frozen=True)
class Row:
    """One figure. `value` is None where it was not measured; `how` then says why.

    `bound` is the value to reach, from below with `at_most`; None where nothing is claimed.
    `data` holds the single measurements, for the JSON file.
    """

    benchmark: str
    case: str
    value: float | None
    unit: str = ""
    bound: float | None = None
    at_most: bool = False
    how: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)

    @property
    def met(self) -> bool | None:
        """Whether the bound is kept; None without a bound or without a figure."""
        if self.bound is None or self.value is None:
            return None
        return self.value <= self.bound if self.at_most else self.value >= self.bound

    def cells(self) -> tuple[str, ...]:
        """What stands in the table."""
        measured = "not measured" if self.value is None else shown(self.value, self.unit)
        sign = "≤" if self.at_most else "≥"
        bound = "" if self.bound is None else f"{sign} {shown(self.bound, self.unit)}"
        met = {True: "yes", False: "**no**", None: ""}[self.met]
        return (self.benchmark, self.case, measured, bound, met, self.how)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "benchmark": self.benchmark,
            "case": self.case,
            "value": _plain(self.value),
            "unit": self.unit,
            "bound": _plain(self.bound),
            "sense": None if self.bound is None else "at most" if self.at_most else "at least",
            "met": self.met,
            "how": self.how,
            "data": _plain(self.data),
        }


def markdown(rows: Iterable[Row]) -> str:
    """The one table."""
    lines = [HEADER, tuple("---" for _ in HEADER), *(row.cells() for row in rows)]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines
    )


def spread(values: Sequence[float], digits: int = 2) -> str:
    """How often something was measured, and from where to where it went."""
    if len(values) == 1:
        return "1 round"
    return f"{len(values)} rounds, {min(values):.{digits}f} to {max(values):.{digits}f}"


def shown(value: float, unit: str) -> str:
    """A figure with its unit, as short as it can be read."""
    if unit == "%":
        return f"{100 * value:.2g}%" if value < 0.1 else f"{100 * value:.0f}%"
    number = f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return f"{number}{unit}" if unit in ("", "x") else f"{number} {unit}"


def _plain(value: Any) -> Any:
    """JSON knows no infinities and no NaN."""
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value
