"""Draw how fast a vector moves answers with its scale, by behaviour, beside random vectors."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go

from workbench.figures import theme
from workbench.figures.intervals import Interval, check_columns, error_bars
from workbench.figures.text import hover_text, tick_labels

_ROW = 30  # pixels
_UNITS = {"letter": "by letter (nats)", "text": "by the answer's text (nats a token)"}


def draw_slopes(summary: pd.DataFrame, *, title: str = "Slopes over the scale") -> go.Figure:
    """Draw a row a behaviour and a panel a way of scoring: the slope, its interval, random ones.

    `summary` as `experiments.compare.Slopes.summary` gives it. Raises ValueError where there is
    nothing to draw or a column lacks.
    """
    from plotly.subplots import make_subplots

    needed = ("behaviour", "scored", "slope", "low", "high", "n", "random_low", "random_high")
    check_columns(summary, needed, "slopes")
    behaviours = list(dict.fromkeys(summary["behaviour"]))
    ways = list(dict.fromkeys(summary["scored"]))
    names = tick_labels(behaviours, 26)
    figure = make_subplots(rows=1, cols=len(ways), shared_yaxes=True, horizontal_spacing=0.06)
    colour, symbol = theme.GROUPS["steered"]
    for col, way in enumerate(ways, start=1):
        rows = summary[summary["scored"] == way].to_dict("records")
        y = [behaviours.index(row["behaviour"]) for row in rows]
        figure.add_scatter(
            name="random vectors",
            x=[x for row in rows for x in (row["random_low"], row["random_high"], None)],
            y=[place for each in y for place in (each, each, None)],
            mode="lines",
            line={"color": theme.LINE, "width": 10},
            opacity=0.45,
            hoverinfo="skip",
            showlegend=col == 1,
            row=1,
            col=col,
        )
        figure.add_scatter(
            name="CAA",
            x=[row["slope"] for row in rows],
            y=y,
            mode="markers",
            marker={"color": colour, "symbol": symbol, "size": 9},
            error_x=error_bars(
                [Interval(row["slope"], row["low"], row["high"]) for row in rows], colour
            ),
            customdata=[
                f"{hover_text(row['behaviour'])}<br>slope {row['slope']:.3f} "
                f"({row['low']:.3f} to {row['high']:.3f})"
                for row in rows
            ],
            hovertemplate="%{customdata}<extra></extra>",
            showlegend=col == 1,
            row=1,
            col=col,
        )
        figure.add_vline(x=0, line={"color": theme.LINE, "dash": "dot", "width": 1.2}, col=col)
        figure.update_xaxes(title={"text": _UNITS.get(way, way)}, zeroline=False, row=1, col=col)
    figure.update_yaxes(**theme.named_rows(names))
    counts = sorted(set(summary["n"]))
    return theme.finish(
        figure,
        title=title,
        caption=(
            f"n = {' or '.join(map(str, counts))} held-out items a behaviour; change of "
            "log P(matching) - log P(not matching) for one unit of scale; bars: 95% bootstrap "
            "intervals over items; grey: random vectors of equal norm, least to most."
        ),
        plot_height=_ROW * len(behaviours) + 20,
        left=theme.left_margin(names),
        below=46,
        legend=["CAA", "random vectors"],
    )
