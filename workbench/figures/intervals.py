"""What the figures of rates share: bars, bands, words and captions for rates with intervals."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

import pandas as pd
import plotly.graph_objects as go

from workbench.figures import theme
from workbench.figures.text import EN_DASH, hover_text


class Interval(NamedTuple):
    """A rate and the bounds of its interval; None where missing."""

    rate: float | None
    low: float | None
    high: float | None


@runtime_checkable
class Rate(Protocol):
    """What the figures ask of a rate; `workbench.evaluation.Proportion` has it."""

    @property
    def successes(self) -> int: ...

    @property
    def n(self) -> int: ...

    @property
    def low(self) -> float: ...

    @property
    def high(self) -> float: ...

    @property
    def confidence(self) -> float: ...

    @property
    def rate(self) -> float: ...


Number = float | int  # both by name: the tests' type checker takes no int for a float
Rates = Rate | Sequence[Rate | None] | None


def listed(value: Rates) -> list[Any]:
    """One rate, several or none as a list, missing ones left out."""
    if value is None:
        return []
    if hasattr(value, "rate"):
        return [value]
    return [rate for rate in value if rate is not None]


def spread(count: int, gap: Number) -> list[float]:
    """Offsets around 0 that set `count` points side by side, `gap` apart."""
    return [gap * (i - (count - 1) / 2) for i in range(count)]


def error_bars(rates: Iterable[Rate | Interval], colour: str) -> dict[str, Any]:
    """Plotly's error bars from the rates to the bounds of their intervals."""
    rates = list(rates)
    return {
        "type": "data",
        "symmetric": False,
        "array": [_distance(rate.rate, rate.high) for rate in rates],
        "arrayminus": [_distance(rate.low, rate.rate) for rate in rates],
        "color": colour,
        "thickness": 1.5,
        "width": 3,
    }


def stretches(
    curve: Sequence[tuple[Number, Rate | None]],
) -> Iterator[list[tuple[Number, Rate]]]:
    """The unbroken pieces of a curve with gaps: a band must not bridge what is missing."""
    piece: list[tuple[Number, Rate]] = []
    for x, rate in [*curve, (math.nan, None)]:
        if rate is not None:
            piece.append((x, rate))
        elif piece:
            yield piece
            piece = []


def band(
    x: Iterable[Number], low: Iterable[Number], high: Iterable[Number], fill: str
) -> go.Scatter:
    """The area between two curves, without a line, a hover or a name."""
    x, low, high = list(x), list(low), list(high)
    return go.Scatter(
        x=[*x, *x[::-1]],
        y=[*high, *low[::-1]],
        mode="lines",
        line={"width": 0},
        fill="toself",
        fillcolor=fill,
        hoverinfo="skip",
        showlegend=False,
    )


def check_columns(frame: pd.DataFrame, needed: Iterable[str], what: str) -> None:
    """Raise ValueError where a frame lacks columns or rows; `what` names the rows."""
    missing = [name for name in needed if name not in frame]
    if missing:
        raise ValueError(f"the frame lacks the columns {missing}")
    if frame.empty:
        raise ValueError(f"there are no {what} to draw")


def add_level(figure: go.Figure, name: str, label: str, rate: Rate, x: Sequence[Number]) -> None:
    """Add a rate that does not depend on x, as a dashed line across with its interval behind."""
    colour, _ = theme.GROUPS["unsteered"]
    ends = [min(x), max(x)] if min(x) < max(x) else [min(x) - 0.5, max(x) + 0.5]
    figure.add_scatter(
        x=ends + ends[::-1],
        y=[rate.high, rate.high, rate.low, rate.low],
        mode="lines",
        line={"width": 0},
        fill="toself",
        fillcolor=theme.BAND,
        hoverinfo="skip",
        showlegend=False,
        legendgroup=name,
    )
    figure.add_scatter(
        x=ends,
        y=[rate.rate] * 2,
        mode="lines",
        name=name,
        legendgroup=name,
        line={"color": colour, "dash": "dash", "width": 1.6},
        hovertemplate=f"{hover_text(label)}: {in_words(rate)}<extra></extra>",
    )


def add_points(
    figure: go.Figure, name: str, label: str, by_scale: Mapping[Number, Rates], gap: Number
) -> list[Rate]:
    """Add rates at their scales as points with intervals, and give them back."""
    colour, symbol = theme.GROUPS["control"]
    points = [
        (float(scale) + offset, scale, rate)
        for scale, value in by_scale.items()
        for several in [listed(value)]
        for offset, rate in zip(spread(len(several), gap), several, strict=True)
    ]
    rates = [rate for _, _, rate in points]
    figure.add_scatter(
        x=[x for x, _, _ in points],
        y=[rate.rate for rate in rates],
        mode="markers",
        name=name,
        marker={"color": colour, "symbol": symbol, "size": 8},
        error_y=error_bars(rates, colour),
        customdata=[f"scale {scale:g}: {in_words(rate)}" for _, scale, rate in points],
        hovertemplate=f"{hover_text(label)}<br>%{{customdata}}<extra></extra>",
    )
    return rates


def in_words(rate: Rate | None) -> str:
    """A rate for a hover box: "23/24 = 96% (95% interval 80% to 99%)"."""
    if rate is None:
        return ""
    return (
        f"{rate.successes}/{rate.n} = {rate.rate:.0%} "
        f"({rate.confidence:.0%} interval {rate.low:.0%} to {rate.high:.0%})"
    )


def row_in_words(row: Mapping[Any, Any]) -> str:
    """A rate given as a row of a frame, for a hover box."""
    if any(pd.isna(row[name]) for name in ("rate", "low", "high")):
        return ""
    counted = ""
    if not any(pd.isna(row.get(name)) for name in ("successes", "n")):
        counted = f"{int(row['successes'])}/{int(row['n'])} = "
    return f"{counted}{row['rate']:.0%} (interval {row['low']:.0%} to {row['high']:.0%})"


def counts(rates: Sequence[Rate]) -> str:
    """The counts of one row: "23/24"; its range for several of equal size; a dash for none."""
    if not rates:
        return EN_DASH
    sizes = {rate.n for rate in rates}
    if len(sizes) > 1:
        return f"{len(rates)} rates"
    low, high = min(rate.successes for rate in rates), max(rate.successes for rate in rates)
    return f"{low}/{sizes.pop()}" if low == high else f"{low}{EN_DASH}{high}/{sizes.pop()}"


def sample_caption(rates: Iterable[Rate]) -> str:
    """Sample sizes and the kind of interval, in a sentence or two."""
    rates = list(rates)
    sizes = {rate.n for rate in rates}
    return _caption(sizes, {rate.confidence for rate in rates})


def frame_caption(frame: pd.DataFrame, *more: Rate | None) -> str:
    """The same for rates given as a frame."""
    extra = [rate for rate in more if rate is not None]
    sizes = set(frame["n"].dropna().astype(int)) if "n" in frame else set()
    levels = set(frame["confidence"].dropna()) if "confidence" in frame else set()
    return _caption(
        sizes | {rate.n for rate in extra}, levels | {rate.confidence for rate in extra}
    )


def numbers(values: Iterable[Any]) -> list[float | None]:
    """Floats, with None (a gap) for what is missing or not finite."""
    return [
        None if pd.isna(value) or not math.isfinite(value) else float(value) for value in values
    ]


def _caption(sizes: set[int], levels: set[float]) -> str:
    size = ""
    if sizes:
        span = f"{min(sizes)}" if len(sizes) == 1 else f"{min(sizes)} to {max(sizes)}"
        size = f"Each rate: n = {span} answers. "
    level = f"{levels.pop():.0%} " if len(levels) == 1 else ""
    return f"{size}Bars and bands: {level}Wilson intervals."


def _distance(low: float | None, high: float | None) -> float | None:
    """How far apart the two are, None where one is missing."""
    if low is None or high is None:
        return None
    return max(high - low, 0.0)
