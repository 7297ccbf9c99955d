"""Draw methods side by side: what each does to a task's behaviour, beside random vectors."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go

from workbench.figures import theme
from workbench.figures.intervals import check_columns
from workbench.figures.text import MINUS, hover_text, tick_labels

_ROW = 30  # pixels
_APART = 0.16  # of a row: the two points of a method
_WAYS = (("best scale", theme.BLUE, "circle"), ("equal KL", theme.VERMILLION, "triangle-left"))


def draw_comparison(
    table: pd.DataFrame,
    random: pd.DataFrame,
    *,
    about: str,
    budget: int | float,
    title: str = "Methods side by side",
) -> go.Figure:
    """Draw each method's change of the margin with its interval, over its random vectors.

    `table` and `random` as in `experiments.compare.Comparison`; `about` says which answers show the
    behaviour, `budget` is the KL within which was chosen. Rows are ordered by the change at the
    best scale. Raises ValueError for a table without methods.
    """
    check_columns(table, ("method", "at", "change", "low", "high", "shows", "kl"), "methods")
    best = table[table["at"] == _WAYS[0][0]].sort_values("change", ascending=False)
    if best.empty:
        raise ValueError("there are no methods to draw")
    methods = list(best["method"])
    names = tick_labels(methods, 26)
    figure = go.Figure()
    _add_random(figure, random, methods)
    for offset, (at, colour, symbol) in zip((-_APART, _APART), _WAYS, strict=True):
        rows = table[table["at"] == at].set_index("method")
        shown = [method for method in methods if method in rows.index]
        chosen = rows.loc[shown]
        figure.add_scatter(
            name=at,
            x=list(chosen["change"]),
            y=[methods.index(method) + offset for method in shown],
            mode="markers",
            marker={"color": colour, "symbol": symbol, "size": 9},
            error_x={
                "type": "data",
                "symmetric": False,
                "array": list(chosen["high"] - chosen["change"]),
                "arrayminus": list(chosen["change"] - chosen["low"]),
                "color": colour,
                "thickness": 1.5,
                "width": 3,
            },
            customdata=[
                f"{hover_text(method)}, {at}<br>change {row['change']:.2f} "
                f"({row['low']:.2f} to {row['high']:.2f}), shown by {row['shows']:.0%}<br>"
                f"layer {row['layer']:.0f}, KL {row['kl']:.3f} nats a token"
                for method, row in zip(shown, chosen.to_dict("records"), strict=True)
            ],
            hovertemplate="%{customdata}<extra></extra>",
        )
    figure.add_vline(x=0, line={"color": theme.LINE, "dash": "dot", "width": 1.2})
    figure.update_xaxes(
        title={"text": f"change of log P(shows) {MINUS} log P(lacks), nats a token"}
    )
    figure.update_yaxes(**theme.named_rows(names))
    count = int(random.groupby("method").size().max())
    return theme.finish(
        figure,
        title=title,
        caption=(
            f"Behaviour: {about}; {int(best['n'].iloc[0])} test items; bars: 95% intervals over "
            "items. "
            f"Chosen on validation within {budget:g} nats a token of KL on harmless text, or as "
            "near as there was. "
            f"Grey: {count} random vectors of the same norm each, their lowest to "
            "the 95th percentile."
        ),
        plot_height=_ROW * len(methods) + 20,
        left=theme.left_margin(names),
        below=46,
        legend=[trace.name for trace in figure.data],
    )


def _add_random(figure: go.Figure, random: pd.DataFrame, methods: list[str]) -> None:
    """A grey bar for each method, behind its points."""
    x: list[float | None] = []
    y: list[float | None] = []
    for row, method in enumerate(methods):
        changes = random[random["method"] == method]["change"]
        x += [float(changes.min()), float(changes.quantile(0.95)), None]
        y += [row, row, None]
    figure.add_scatter(
        name="random vectors",
        x=x,
        y=y,
        mode="lines",
        line={"color": theme.LINE, "width": 10},
        opacity=0.45,
        hoverinfo="skip",
    )
