"""Draw how often vectors flip decisions, by way and group."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
import plotly.graph_objects as go

from workbench.figures import theme
from workbench.figures.intervals import Interval, check_columns, error_bars, spread
from workbench.figures.text import hover_text, shorten, tick_labels

_NEEDED = ("way", "group", "n", "flipped", "low", "high", "neither")
_PERCENT = {"tickformat": ".0%", "range": [-0.04, 1.04], "tickvals": [0, 0.25, 0.5, 0.75, 1]}


def draw_flips(
    vectors: Mapping[str, pd.DataFrame],
    *,
    kinds: Mapping[str, str] | None = None,
    title: str = "How often vectors flip decisions",
) -> go.Figure:
    """Draw the flip rates of each vector in each way and group, the share of "neither" below.

    `vectors` are frames of `Flips.to_frame()` by label. `kinds` gives labels one of "steered",
    "negated", "control", "unsteered", which sets colour and marker. Raises ValueError where frames
    lack columns, or there are none.
    """
    from plotly.subplots import make_subplots

    if not vectors:
        raise ValueError("there are no vectors to draw")
    for frame in vectors.values():
        check_columns(frame, _NEEDED, "flips")
    places = list(
        dict.fromkeys(
            (str(way), str(group))
            for frame in vectors.values()
            for way, group in zip(frame["way"], frame["group"], strict=True)
        )
    )
    figure = make_subplots(
        rows=2, cols=1, shared_xaxes=True, vertical_spacing=0.08, row_heights=[0.68, 0.32]
    )
    offsets = spread(len(vectors), 0.7 / max(len(vectors), 6))
    groups = [(kinds or {}).get(label, "steered") for label in vectors]
    for (label, frame), offset, group in zip(vectors.items(), offsets, groups, strict=True):
        colour, symbol = theme.GROUPS[group]
        rows = frame.to_dict("records")
        x = [places.index((str(row["way"]), str(row["group"]))) + offset for row in rows]
        words = [
            f"{hover_text(label)}<br>{hover_text(row['way'])}, {hover_text(row['group'])}<br>"
            f"flipped {row['flipped']:.0%} ({row['low']:.0%} to {row['high']:.0%}), "
            f"neither {row['neither']:.0%}, n = {row['n']}"
            for row in rows
        ]
        for number, column in enumerate(("flipped", "neither"), 1):
            bars = None
            if column == "flipped":
                bars = error_bars(
                    [Interval(row["flipped"], row["low"], row["high"]) for row in rows], colour
                )
            figure.add_scatter(
                x=x,
                y=[row[column] for row in rows],
                mode="markers",
                name=group,
                legendgroup=group,
                showlegend=number == 1 and groups.index(group) == list(vectors).index(label),
                marker={"color": colour, "symbol": symbol, "size": 7},
                error_y=bars,
                customdata=words,
                hovertemplate="%{customdata}<extra></extra>",
                row=number,
                col=1,
            )
    names = tick_labels([f"{shorten(way, 16)}, {shorten(group, 22)}" for way, group in places], 40)
    broken = [name.replace(", ", ",<br>", 1) for name in names]
    figure.update_xaxes(range=[-0.6, len(places) - 0.4], **theme.named(broken))
    figure.update_yaxes(zeroline=False, **_PERCENT)
    figure.update_yaxes(title={"text": "decisions flipped"}, row=1, col=1)
    figure.update_yaxes(title={"text": "neither"}, row=2, col=1)
    sizes = sorted({int(n) for frame in vectors.values() for n in frame["n"]})
    counted = f"{sizes[0]}" if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]}"
    shown = list(dict.fromkeys(groups))
    return theme.finish(
        figure,
        title=title,
        caption=(
            f"{len(vectors)} vectors and controls, {counted} decisions each. Bars: Wilson "
            "intervals. Neither: the text states neither action, which is never a flip."
        ),
        plot_height=340,
        left=72,
        below=56,
        legend=shown if len(shown) > 1 else (),
    )
