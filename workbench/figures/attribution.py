"""Draw which parts of the model carry out what steering changes."""

from __future__ import annotations

import math

import pandas as pd
import plotly.graph_objects as go

from workbench.figures import theme
from workbench.figures.intervals import Interval, check_columns, error_bars
from workbench.figures.text import MINUS, tick_labels

_ROW = 22  # pixels
_OTHERS = {"attention head": "heads", "MLP": "MLPs"}  # kinds of which only the largest are shown
NEEDED = ("part", "kind", "layer", "head", "mean", "low", "high", "n")


def draw_attribution(
    means: pd.DataFrame,
    *,
    largest: int = 10,
    title: str = "What steering changes in the logit difference, by part",
) -> go.Figure:
    """Draw the parts as a waterfall that ends at the whole change.

    `means`: the frame of `Attribution.means`. The `largest` heads and MLPs have rows of their own,
    the others share one a kind. Raises ValueError where columns or rows lack.
    """
    check_columns(means, NEEDED, "parts")
    rows = _rows(means, largest)
    names = tick_labels([row["part"] for row in rows] + ["all together"], 26)
    ends = [sum(row["mean"] for row in rows[: i + 1]) for i in range(len(rows))]
    begins = [0.0, *ends[:-1]]
    figure = go.Figure()
    for positive, colour in ((True, theme.POSITIVE), (False, theme.NEGATIVE)):
        some = [i for i, row in enumerate(rows) if (row["mean"] >= 0) == positive]
        figure.add_bar(
            x=[rows[i]["mean"] for i in some],
            y=some,
            base=[begins[i] for i in some],
            orientation="h",
            width=0.7,  # else as wide as a trace's rows are apart
            marker={"color": colour},
            name="towards promoted" if positive else "towards suppressed",
            error_x=error_bars(
                [Interval(rows[i]["mean"], rows[i]["low"], rows[i]["high"]) for i in some],
                theme.GREY,
            ),
            customdata=[_in_words(rows[i]) for i in some],
            hovertemplate="%{customdata}<extra></extra>",
        )
    figure.add_bar(
        x=[ends[-1]],
        y=[len(rows)],
        orientation="h",
        width=0.7,
        marker={"color": theme.GREY},
        name="all together",
        customdata=[f"all together: {_signed(ends[-1])} logits"],
        hovertemplate="%{customdata}<extra></extra>",
    )
    for i, value in enumerate([row["mean"] for row in rows] + [ends[-1]]):
        figure.add_annotation(
            text=_signed(value), x=1, xref="paper", xanchor="left", xshift=6, y=i, yref="y"
        )
    figure.add_vline(x=0, line={"color": theme.LINE, "width": 1}, layer="below")
    figure.update_xaxes(title={"text": "logits, promoted less suppressed"}, zeroline=False)
    figure.update_yaxes(**theme.named_rows(names))
    figure.update_layout(barmode="overlay")
    n = int(means["n"].iloc[0])
    lines = " Lines: 95% bootstrap intervals over prompts." if n > 1 else ""
    return theme.finish(
        figure,
        title=title,
        caption=f"Mean of {n} prompt{'s' if n > 1 else ''}.{lines}",
        plot_height=_ROW * len(names),
        left=theme.left_margin(names),
        right=58,
        below=46,
        legend=["towards suppressed"] * 3,
    )


def _rows(means: pd.DataFrame, largest: int) -> list[dict]:
    """Parts in the order of the model, the small ones of a kind in one row behind the others."""
    many = means[means["kind"].isin(_OTHERS)]
    kept = many["mean"].abs().sort_values(ascending=False, kind="stable").index[:largest]
    own = means[~means["kind"].isin(_OTHERS) | means.index.isin(kept)]
    edits, norm = own["kind"].str.startswith("edit"), own["kind"] == "final norm"
    rows = own[edits].to_dict("records") + own[~edits & ~norm].to_dict("records")
    for kind, words in _OTHERS.items():
        rest = many[(many["kind"] == kind) & ~many.index.isin(kept)]
        if len(rest):
            rows.append(
                {
                    "part": f"{len(rest)} other {words}",
                    "mean": float(rest["mean"].sum()),
                    "low": math.nan,
                    "high": math.nan,
                }
            )
    return rows + own[norm].to_dict("records")


def _in_words(row: dict) -> str:
    words = f"{row['part']}: {_signed(row['mean'])} logits"
    if not math.isnan(row["low"]):
        words += f" ({_signed(row['low'])} to {_signed(row['high'])})"
    return words


def _signed(value: int | float) -> str:
    return f"{value:+.2f}".replace("-", MINUS)
