"""Draw how long vectors are beside the stream that they are added to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import plotly.graph_objects as go

from workbench.figures import theme
from workbench.figures.text import hover_text, tick_labels

if TYPE_CHECKING:
    from workbench.evaluation import RelativeNorms

_ROW = 22  # pixels


def draw_norms(found: RelativeNorms, *, title: str = "Norms beside the stream's") -> go.Figure:
    """Draw each vector's norm as a share of the mean norm of the stream at its layer."""
    names = tick_labels(found.labels, 26)
    # The share's interval comes from the stream's mean: a longer stream makes the share smaller.
    low, high = (
        [norm / mean for norm, mean in zip(found.norms, ends, strict=True)]
        for ends in (found.high, found.low)
    )
    figure = go.Figure()
    figure.add_scatter(
        x=list(found.shares),
        y=list(range(len(names))),
        mode="markers",
        marker={"color": theme.BLUE, "size": 9},
        error_x={
            "type": "data",
            "symmetric": False,
            "array": [end - share for end, share in zip(high, found.shares, strict=True)],
            "arrayminus": [share - end for end, share in zip(low, found.shares, strict=True)],
            "color": theme.BLUE,
            "thickness": 1.5,
            "width": 3,
        },
        customdata=[
            f"{hover_text(row['vector'])}<br>norm {row['norm']:.3g}, stream {row['stream']:.3g} "
            f"at layer {row['layer']}<br>share {row['share']:.1%}"
            for row in found.to_frame().to_dict("records")
        ],
        hovertemplate="%{customdata}<extra></extra>",
        showlegend=False,
    )
    near = max(high) > 0.5  # else the line would leave the marks no room
    if near:
        figure.add_vline(x=1, line={"color": theme.LINE, "dash": "dot", "width": 1.2})
    figure.update_xaxes(
        title={"text": "norm, share of the stream's"}, tickformat=".0%", rangemode="tozero"
    )
    figure.update_yaxes(**theme.named_rows(names))
    return theme.finish(
        figure,
        title=title,
        caption=(
            f"The stream's mean norm at each vector's layer, over {found.n} prompts; bars: its 95% "
            f"interval.{' Dotted: as long as the stream.' if near else ''}"
        ),
        plot_height=max(_ROW * len(names), 90),
        left=theme.left_margin(names),
        below=46,
    )
