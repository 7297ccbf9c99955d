"""Draw rank correlations with their intervals."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go

from workbench.figures import theme
from workbench.figures.intervals import Interval, check_columns, error_bars
from workbench.figures.text import EN_DASH, MINUS, hover_text, tick_labels

_ROW = 28  # pixels


def draw_correlations(
    frame: pd.DataFrame, *, title: str = "Which figures rank vectors as their outcome does"
) -> go.Figure:
    """Draw a row each: the correlation (-1..1) as a dot, its 95% interval as a line.

    Columns: predictor, rho, low, high, n (vectors). Raises ValueError where there is nothing to
    draw or a column lacks.
    """
    check_columns(frame, ("predictor", "rho", "low", "high", "n"), "correlations")
    names = [str(name) for name in frame["predictor"]]
    shown = tick_labels(names, 26)
    rows = list(frame[["rho", "low", "high"]].itertuples(index=False))
    colour, symbol = theme.GROUPS["steered"]
    figure = go.Figure()
    figure.add_vline(x=0, line={"color": theme.LINE, "width": 1}, layer="below")
    figure.add_scatter(
        x=[row.rho for row in rows],
        y=list(range(len(rows))),
        mode="markers",
        cliponaxis=False,
        marker={"color": colour, "symbol": symbol, "size": 9},
        error_x=error_bars([Interval(*row) for row in rows], colour),
        customdata=[
            f"{hover_text(name)}<br>{row.rho:+.2f} ({row.low:+.2f} to {row.high:+.2f})"
            for name, row in zip(names, rows, strict=True)
        ],
        hovertemplate="%{customdata}<extra></extra>",
        showlegend=False,
    )
    figure.update_xaxes(
        title={"text": "Spearman's rank correlation"},
        range=[-1.05, 1.05],
        tickvals=[-1, -0.5, 0, 0.5, 1],
        ticktext=[f"{MINUS}1", f"{MINUS}0.5", "0", "0.5", "1"],
        zeroline=False,
    )
    figure.update_yaxes(**theme.named_rows(shown))
    low, high = int(frame["n"].min()), int(frame["n"].max())
    n = f"{low}" if low == high else f"{low}{EN_DASH}{high}"
    return theme.finish(
        figure,
        title=title,
        caption=f"n = {n} vectors; lines: 95% bootstrap intervals.",
        plot_height=_ROW * len(rows),
        left=theme.left_margin(shown),
        below=46,
    )
