"""Draw the losses on the way from one vector to another."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import plotly.graph_objects as go

from workbench.figures import theme
from workbench.figures.heatmap import colorbar
from workbench.figures.text import hover_text, tick_labels

if TYPE_CHECKING:
    from workbench.analysis.connectivity import Connectivity

_MOST_LINES = 400  # of each kind that are drawn


def draw_connectivity(found: Connectivity, *, title: str = "Barriers between vectors") -> go.Figure:
    """Draw a map, source by target: how far the path's highest loss lies over the worse end."""
    n = len(found.labels)
    ends = np.maximum(found.losses[:, :, 0], found.losses[:, :, -1])
    barrier = np.maximum(found.losses.max(axis=2) - ends, 0.0)
    barrier[np.eye(n, dtype=bool)] = np.nan
    most = float(np.nanmax(barrier))
    names = tick_labels(found.labels, 18)
    every = list(range(0, n, max(1, -(-n // 25))))
    figure = go.Figure(
        go.Heatmap(
            z=barrier,
            x=list(range(n)),
            y=list(range(n)),
            zmin=0,
            zmax=most or 1.0,
            colorscale="Blues",
            xgap=1,
            ygap=1,
            hoverongaps=False,
            customdata=[
                [_pair(found, i, j, float(barrier[i, j])) if i != j else "" for j in range(n)]
                for i in range(n)
            ],
            hovertemplate="%{customdata}<extra></extra>",
            colorbar=colorbar("barrier, nats"),
        )
    )
    ticks = {"tickmode": "array", "tickvals": every, "showgrid": False, "zeroline": False}
    figure.update_xaxes(
        title={"text": "to (rows: from)"},
        ticktext=[f"[{i + 1}]" for i in every],
        range=[-0.5, n - 0.5],
        tickangle=0,
        **ticks,
    )
    figure.update_yaxes(
        ticktext=[f"{names[i]}  [{i + 1}]" for i in every], range=[n - 0.5, -0.5], **ticks
    )
    low, high = found.interval()
    return theme.finish(
        figure,
        title=title,
        caption=(
            f"{found.share:.1%} of {n * (n - 1)} ordered pairs are connected (95% "
            f"{low:.1%} to {high:.1%}, bootstrap over {n} vectors): no point's loss exceeds the "
            "worse end's. Losses are of the examples of the vector that the path comes from."
        ),
        plot_height=min(max(22 * n, 150), 520),
        left=theme.left_margin([f"{name}  [{n}]" for name in names]),
        right=90,
        below=46,
    )


def draw_paths(
    found: Connectivity, *, title: str = "Losses on the way from one vector to another"
) -> go.Figure:
    """Draw each ordered pair's losses as a thin line, and their median as a thick one."""
    figure = go.Figure()
    n = len(found.labels)
    pairs = [(i, j) for i in range(n) for j in range(n) if i != j]
    joined, drawn = found.connected, 0
    for connected, colour, width in ((True, theme.LINE, 0.8), (False, theme.VERMILLION, 1.2)):
        x: list[float | None] = []
        y: list[float | None] = []
        mine = [pair for pair in pairs if bool(joined[pair]) == connected]
        some = mine[:: -(-len(mine) // _MOST_LINES) or 1]
        drawn += len(some)
        for i, j in some:
            x += [*found.t.tolist(), None]
            y += [*found.losses[i, j].tolist(), None]
        if x:
            figure.add_scatter(
                x=x,
                y=y,
                mode="lines",
                line={"color": colour, "width": width},
                opacity=0.7,
                name="connected" if connected else "with a barrier",
                hoverinfo="skip",
            )
    middle = np.median([found.losses[i, j] for i, j in pairs], axis=0)
    figure.add_scatter(
        x=found.t,
        y=middle,
        mode="lines",
        line={"color": theme.BLUE, "width": 2.5},
        name="median",
        hovertemplate="t = %{x:.2f}: %{y:.2f} nats<extra></extra>",
    )
    fewer = f" {drawn} of them are drawn." if drawn < len(pairs) else ""
    figure.update_xaxes(title={"text": "t, from the vector's own to the other"}, zeroline=False)
    figure.update_yaxes(title={"text": "loss, nats"}, rangemode="tozero", zeroline=False)
    return theme.finish(
        figure,
        title=title,
        caption=f"{len(pairs)} ordered pairs of {n} vectors, {len(found.t)} points each.{fewer}",
        plot_height=260,
        left=60,
        below=46,
        legend=[trace.name for trace in figure.data],
    )


def _pair(found: Connectivity, i: int, j: int, barrier: float) -> str:
    path = found.losses[i, j]
    return (
        f"from {hover_text(found.labels[i])}<br>to {hover_text(found.labels[j])}<br>"
        f"barrier {barrier:.2f} nats; ends {path[0]:.2f} and {path[-1]:.2f}, "
        f"highest {path.max():.2f}"
    )
