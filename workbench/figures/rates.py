"""Draw rates of behaviour with their intervals: by condition, by scale, by layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd
import plotly.graph_objects as go

from workbench.figures import theme
from workbench.figures.intervals import (
    Interval,
    Number,
    Rate,
    Rates,
    add_level,
    add_points,
    band,
    check_columns,
    counts,
    error_bars,
    frame_caption,
    in_words,
    listed,
    numbers,
    row_in_words,
    sample_caption,
    spread,
    stretches,
)
from workbench.figures.text import hover_text, tick_labels

_PERCENT = {"tickformat": ".0%", "range": [-0.03, 1.03], "tickvals": [0, 0.25, 0.5, 0.75, 1]}


def draw_rates(
    rates: Mapping[str, Rates],
    groups: Mapping[str, str] | None = None,
    *,
    measure: str = "answers that begin as promoted",
    title: str = "How often the behaviour shows",
) -> go.Figure:
    """Draw one row a label: the rate as a dot, its interval as a line.

    A value is a rate, or several that share the row (one for each random vector, say), or None
    (missing: the row stays empty). `groups` gives labels one of "steered", "negated", "control",
    "unsteered", which sets colour and marker; others count as steered.
    """
    rows = {label: listed(value) for label, value in rates.items()}
    if not rows:
        raise ValueError("there are no rates to draw")
    groups = dict(groups or {})
    unknown = sorted({group for group in groups.values() if group not in theme.GROUPS})
    if unknown:
        raise ValueError(f"unknown groups {unknown}: choose from {list(theme.GROUPS)}")
    shown = tick_labels(list(rows), 26)
    # A row with several rates gets the room of several lines; y counts pixels from the top.
    heights = [max(28, 12 * len(several) + 8) for several in rows.values()]
    middles = [sum(heights[:i]) + height / 2 for i, height in enumerate(heights)]

    figure = go.Figure()
    used = dict.fromkeys(groups.get(label, "steered") for label in rows)
    for group in sorted(used, key=list(theme.GROUPS).index):
        colour, symbol = theme.GROUPS[group]
        points = [
            (middle + offset, label, rate)
            for middle, (label, several) in zip(middles, rows.items(), strict=True)
            if groups.get(label, "steered") == group
            for offset, rate in zip(spread(len(several), 12), several, strict=True)
        ]
        figure.add_scatter(
            x=[rate.rate for _, _, rate in points],
            y=[y for y, _, _ in points],
            mode="markers",
            cliponaxis=False,
            name=group,
            marker={"color": colour, "symbol": symbol, "size": 9},
            error_x=error_bars([rate for _, _, rate in points], colour),
            customdata=[f"{hover_text(label)}<br>{in_words(rate)}" for _, label, rate in points],
            hovertemplate="%{customdata}<extra></extra>",
        )
    for middle, several in zip(middles, rows.values(), strict=True):
        figure.add_annotation(
            text=counts(several), x=1, xref="paper", xanchor="left", xshift=6, y=middle, yref="y"
        )

    figure.update_xaxes(title={"text": f"share of {measure}"}, zeroline=False, **_PERCENT)
    figure.update_yaxes(
        tickmode="array",
        tickvals=middles,
        ticktext=shown,
        range=[sum(heights), 0],
        showgrid=False,
        zeroline=False,
    )
    return theme.finish(
        figure,
        title=title,
        caption=sample_caption([rate for several in rows.values() for rate in several]),
        plot_height=sum(heights),
        left=theme.left_margin(shown),
        right=64,
        below=46,
        legend=list(used) if len(used) > 1 else (),
    )


def draw_dose(
    scales: Sequence[Number],
    proportions: Sequence[Rate | None],
    *,
    controls: Mapping[str, Rate | Mapping[Number, Rates]] | None = None,
    measure: str = "answers that begin as promoted",
    scale: str = "scale (multiples of the vector)",
    title: str = "Rate of the behaviour by scale of the vector",
) -> go.Figure:
    """Draw the rate against the vector's scale, with its interval as a band.

    A missing proportion (None) is a gap. `controls`: by label, either one rate (a level across
    the figure, such as the unsteered model's) or rates by scale (points, such as random vectors').
    """
    if len(scales) != len(proportions):
        raise ValueError(f"{len(scales)} scales for {len(proportions)} proportions")
    if not len(scales):
        raise ValueError("there are no scales to draw")
    curve = sorted(zip(map(float, scales), proportions, strict=True), key=lambda point: point[0])
    colour, symbol = theme.GROUPS["steered"]
    figure = go.Figure()
    for stretch in stretches(curve):
        scales_of, drawn_rates = zip(*stretch, strict=True)
        low, high = ([getattr(rate, end) for rate in drawn_rates] for end in ("low", "high"))
        figure.add_trace(band(scales_of, low, high, theme.STEERED_BAND))
    figure.add_scatter(
        x=[at for at, _ in curve],
        y=[None if rate is None else rate.rate for _, rate in curve],
        mode="lines+markers",
        name="steered",
        line={"color": colour, "width": 2},
        marker={"symbol": symbol, "size": 8},
        connectgaps=False,
        customdata=[f"scale {at:g}: {in_words(rate)}" for at, rate in curve],
        hovertemplate="%{customdata}<extra></extra>",
    )
    drawn = [rate for _, rate in curve if rate is not None]
    gap = 0.012 * (curve[-1][0] - curve[0][0] or 1)  # points that share a scale stand apart
    names = tick_labels(list(controls or {}), 30)
    for name, (label, control) in zip(names, (controls or {}).items(), strict=True):
        if isinstance(control, Mapping):
            drawn += add_points(figure, name, label, control, gap)
        elif control is not None:
            drawn.append(control)
            add_level(figure, name, label, control, [at for at, _ in curve])

    figure.add_vline(x=0, line={"color": theme.LINE, "width": 1}, layer="below")
    figure.update_xaxes(title={"text": scale}, zeroline=False)
    figure.update_yaxes(title={"text": f"share of {measure}"}, zeroline=False, **_PERCENT)
    return theme.finish(
        figure,
        title=title,
        caption=sample_caption(drawn),
        plot_height=270,
        left=70,
        below=46,
        legend=["steered", *names] if names else (),
    )


def draw_layer_strip(
    frame: pd.DataFrame,
    *,
    unsteered: Rate | None = None,
    measure: str = "answers that begin as promoted",
    title: str = "Rate of the behaviour by layer of the vector",
) -> go.Figure:
    """Draw the rate by layer, and under it the final loss where the frame has one.

    Columns: layer, rate, low, high; successes, n and confidence for the hover and the caption;
    loss (nats) for the second panel. Missing values are gaps.
    """
    from plotly.subplots import make_subplots

    check_columns(frame, ("layer", "rate", "low", "high"), "layers")
    frame = frame.sort_values("layer", kind="stable")
    layers = [int(layer) for layer in frame["layer"]]
    with_loss = "loss" in frame
    heights = [0.68, 0.32] if with_loss else [1.0]
    figure = make_subplots(
        rows=len(heights), cols=1, shared_xaxes=True, vertical_spacing=0.07, row_heights=heights
    )
    colour, symbol = theme.GROUPS["steered"]
    rates, low, high = (numbers(frame[name]) for name in ("rate", "low", "high"))
    once = len(set(layers)) == len(layers)  # several vectors a layer are points, not a line
    figure.add_scatter(
        x=layers,
        y=rates,
        mode="lines+markers" if once else "markers",
        name="steered",
        line={"color": colour, "width": 1.5},
        marker={"symbol": symbol, "size": 8},
        connectgaps=False,
        error_y=error_bars(
            [Interval(*values) for values in zip(rates, low, high, strict=True)], colour
        ),
        customdata=[row_in_words(row) for row in frame.to_dict("records")],
        hovertemplate="layer %{x}: %{customdata}<extra></extra>",
        row=1,
        col=1,
    )
    if unsteered is not None:
        # As a trace, so that it has a hover and a place in the legend.
        add_level(figure, "unsteered", "unsteered", unsteered, layers)
    if with_loss:
        figure.add_scatter(
            x=layers,
            y=numbers(frame["loss"]),
            mode="lines+markers" if once else "markers",
            line={"color": theme.PURPLE, "width": 1.5},
            marker={"symbol": "circle", "size": 6},
            connectgaps=False,
            showlegend=False,
            hovertemplate="layer %{x}: final loss %{y:.3g} nats<extra></extra>",
            row=2,
            col=1,
        )
        figure.update_yaxes(title={"text": "loss, nats"}, rangemode="tozero", row=2, col=1)
    ticks = sorted(set(layers))
    step = -(-len(ticks) // 16)
    figure.update_xaxes(tickvals=ticks[::step], zeroline=False)
    figure.update_xaxes(title={"text": "layer (input of the block)"}, row=len(heights), col=1)
    figure.update_yaxes(title={"text": f"share of {measure}"}, row=1, col=1, **_PERCENT)
    figure.update_yaxes(zeroline=False, row=1, col=1)
    caption = frame_caption(frame, unsteered)
    if with_loss:
        caption += " Below: the loss of each layer's vector on its own example."
    return theme.finish(
        figure,
        title=title,
        caption=caption,
        plot_height=380 if with_loss else 260,
        left=70,
        below=46,
        legend=["steered", "unsteered"] if unsteered is not None else (),
    )
