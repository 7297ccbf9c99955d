"""Draw what vectors of every layer do, and what they cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from workbench.figures import theme
from workbench.figures.intervals import band
from workbench.figures.text import hover_text, wrap

if TYPE_CHECKING:
    from workbench.analysis.layer_sweep import LayerSweep

# Panels under the outcome, those that have values: the column, its words.
FEW_LAYERS = 12  # under so many, every layer has its tick, and none stands between two
_PANELS = {"loss": "loss, nats", "norm": "norm", "kl": "KL, nats a token"}
_HEIGHTS = {"outcome": 190, "other": 90}


def draw_layer_sweep(
    sweep: LayerSweep,
    *,
    measure: str = "log-prob of what is promoted, nats a token",
    unsteered: int | float | None = None,
    title: str = "What vectors of each layer do, and what they cost",
) -> go.Figure:
    """Draw the outcome by layer with its interval, a mark a vector; loss, norm and KL under it.

    Each scale has a line of its own. `unsteered` is a level across the first panel.
    """
    frame, by_layer = sweep.to_frame(), sweep.by_layer()
    panels = [name for name in _PANELS if frame[name].notna().any()]
    heights = [_HEIGHTS["outcome"], *[_HEIGHTS["other"]] * len(panels)]
    figure = make_subplots(
        rows=len(heights),
        cols=1,
        shared_xaxes=True,
        row_heights=[height / sum(heights) for height in heights],
        vertical_spacing=0.05,
    )
    scales = list(dict.fromkeys(sweep.scales))
    for i, scale in enumerate(scales):
        colour = theme.PALETTE[i % len(theme.PALETTE)]
        line = {"color": colour, "width": 2, "dash": theme.DASHES[i % len(theme.DASHES)]}
        mean, single = (some[some["scale"] == scale] for some in (by_layer, frame))
        banded = mean.dropna(subset=["low", "high"])
        if len(banded) > 1:
            area = band(banded["layer"], banded["low"], banded["high"], theme.BAND)
            figure.add_trace(area, row=1, col=1)
        for row, name in enumerate(["outcome", *panels], 1):
            figure.add_scatter(
                x=single["layer"],
                y=single[name],
                mode="markers",
                marker={"color": colour, "size": 4, "opacity": 0.6},
                customdata=[hover_text(label) for label in single["vector"]],
                hovertemplate="%{customdata}<br>%{y:.3f}<extra></extra>",
                showlegend=False,
                row=row,
                col=1,
            )
            figure.add_scatter(
                x=mean["layer"],
                y=mean[name],
                mode="lines",
                line=line,
                name=f"scale {scale:g}",
                legendgroup=f"{scale:g}",
                hoverinfo="skip",
                showlegend=row == 1 and len(scales) > 1,
                row=row,
                col=1,
            )
            words = measure if name == "outcome" else _PANELS[name]
            figure.update_yaxes(title={"text": _broken(words)}, zeroline=False, row=row, col=1)
            if name == "norm":  # from zero: norms at their bound differ by rounding only
                figure.update_yaxes(rangemode="tozero", row=row, col=1)
    if unsteered is not None:
        figure.add_hline(
            y=unsteered,
            line={"color": theme.GREY, "dash": "dash", "width": 1.4},
            annotation={"text": "unsteered"},
            row=1,
            col=1,
        )
    span = max(sweep.layers) - min(sweep.layers)
    figure.update_xaxes(zeroline=False, dtick=1 if span < FEW_LAYERS else None)
    figure.update_xaxes(title={"text": "layer"}, row=len(heights), col=1)
    n = sweep.outcomes.shape[1]
    return theme.finish(
        figure,
        title=title,
        caption=(
            f"{len(set(sweep.labels))} vectors, a mark each, on {n} prompts. Band: 95% interval "
            "over vectors and prompts."
        ),
        plot_height=sum(heights),
        left=96,
        below=46,
        legend=[f"scale {scale:g}" for scale in scales] if len(scales) > 1 else (),
    )


def _broken(words: str) -> str:
    """A long axis title on several lines."""
    return "<br>".join(wrap(words, 20))
