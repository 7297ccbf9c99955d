"""Draw where a vector acts: by layer and position."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import plotly.graph_objects as go

from workbench.figures import theme
from workbench.figures.heatmap import signed_heatmap, token_axis
from workbench.figures.text import MINUS, hover_text

if TYPE_CHECKING:
    from workbench.analysis.position_map import PositionMap


def draw_position_map(
    found: PositionMap,
    which: Literal["alone", "without"] = "alone",
    *,
    title: str | None = None,
) -> go.Figure:
    """Draw the changes of the completion's log-prob, layer by position, colours symmetric about 0.

    `which`: the vector at one position alone, or everywhere but there.
    """
    if which not in ("alone", "without"):
        raise ValueError(f'which must be "alone" or "without", got {which!r}')
    values = found.alone if which == "alone" else found.without
    n = len(found.tokens)
    names = [
        [f"{hover_text(token)}_{i}, layer {layer}" for i, token in enumerate(found.tokens)]
        for layer in found.layers
    ]
    figure = go.Figure(signed_heatmap(values, names, "nats"))
    figure.add_vline(
        x=found.completion_from - 0.5, line={"color": theme.VERMILLION, "width": 1.6, "dash": "dot"}
    )
    figure.update_xaxes(**token_axis(found.tokens, range(n)))
    step = max(1, -(-len(found.layers) // 16))
    shown = list(range(0, len(found.layers), step))
    figure.update_yaxes(
        title={"text": "layer"},
        tickmode="array",
        tickvals=shown,
        ticktext=[str(found.layers[i]) for i in shown],
        range=[-0.5, len(found.layers) - 0.5],
        showgrid=False,
        zeroline=False,
    )
    against = "the unsteered model" if which == "alone" else "the vector at every position"
    unsteered = f"{found.unsteered:.1f}".replace("-", MINUS)
    where = "at one position alone" if which == "alone" else "everywhere but at one position"
    return theme.finish(
        figure,
        title=title or f"The vector {where}",
        caption=(
            f"Change of the completion's log-prob against {against}; {unsteered} nats unsteered. "
            "Right of the dotted line: the completion."
        ),
        plot_height=max(22 * len(found.layers), 120),
        left=58,
        right=84,
        below=96,
        min_width=142 + 8 * n,
    )
