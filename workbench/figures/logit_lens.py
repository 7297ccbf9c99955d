"""Draw what a model would say if it stopped at each layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import plotly.graph_objects as go

from workbench.figures import theme
from workbench.figures.heatmap import colorbar, token_axis
from workbench.figures.text import hover_text, plain, shorten

if TYPE_CHECKING:
    from workbench.analysis.logit_lens import LogitLens

_ROW, _COLUMN = 19, 54  # pixels
_TEXT_UP_TO = 400  # cells; with more, tokens are in the hover only


def draw_logit_lens(
    lens: LogitLens,
    *,
    first: int = 0,
    title: str = "What the model would say at each layer",
) -> go.Figure:
    """Draw layers (the last on top) by positions: the likeliest next token and its probability.

    Cells in which the target is the likeliest are framed. `first` leaves out the positions before
    it. The hover has the likeliest tokens, and the target's rank and log-prob.
    """
    n_layers, n_positions = lens.rank.shape
    if not 0 <= first < n_positions:
        raise ValueError(f"first must be one of the {n_positions} positions, got {first}")
    shown = list(range(first, n_positions))
    words = len(shown) * n_layers <= _TEXT_UP_TO
    likeliest = lens.probabilities[:, shown, 0]
    figure = go.Figure(
        go.Heatmap(
            z=likeliest,
            x=shown,
            y=list(range(n_layers)),
            zmin=0,
            zmax=1,
            colorscale="Blues",
            xgap=1,
            ygap=1,
            customdata=[[_hover(lens, i, j) for j in shown] for i in range(n_layers)],
            hovertemplate="%{customdata}<extra></extra>",
            colorbar={**colorbar("highest<br>probability"), "tickformat": ".0%"},
        )
    )
    if words:
        figure.add_scatter(
            x=shown * n_layers,
            y=[i for i in range(n_layers) for _ in shown],
            mode="text",
            text=[
                plain(shorten(lens.predicted[i][j][0], 8)) for i in range(n_layers) for j in shown
            ],
            textfont={
                "size": 9,
                "color": ["#ffffff" if p > 0.55 else "#1f2933" for p in likeliest.flat],
            },
            hoverinfo="skip",
            showlegend=False,
        )
    hits = [(i, j) for i in range(n_layers) for j in shown if lens.rank[i, j] == 0]
    if hits:  # one line with gaps: a shape a cell takes seconds
        figure.add_scatter(
            x=[
                x for i, j in hits for x in (j - 0.48, j + 0.48, j + 0.48, j - 0.48, j - 0.48, None)
            ],
            y=[
                y for i, j in hits for y in (i - 0.46, i - 0.46, i + 0.46, i + 0.46, i - 0.46, None)
            ],
            mode="lines",
            line={"color": theme.VERMILLION, "width": 1.6},
            hoverinfo="skip",
            showlegend=False,
        )
    label_axes(figure, lens, shown)
    aim = named_target(lens, shown)
    aim = f"the target {aim}" if aim.startswith("“") else aim
    caption = f"Input of each layer, and the last one's output. Framed: {aim} is the likeliest."
    return theme.finish(
        figure,
        title=title,
        caption=caption,
        plot_height=_ROW * n_layers,
        left=58,
        right=98,
        below=96,
        min_width=156 + (_COLUMN if words else 12) * len(shown),
    )


def label_axes(figure: go.Figure, lens: LogitLens, shown: Sequence[int]) -> None:
    """Tokens with their positions below, layers at the side, the last one on top."""
    n_layers = len(lens.layers)
    figure.update_xaxes(**token_axis(lens.tokens, shown))
    step = max(1, -(-n_layers // 16))
    layers = sorted({*range(0, n_layers - 1, step), n_layers - 1})
    figure.update_yaxes(
        title={"text": "layer"},
        tickmode="array",
        tickvals=layers,
        ticktext=[lens.layers[i] for i in layers],
        range=[-0.5, n_layers - 0.5],
        showgrid=False,
        zeroline=False,
    )


def named_target(lens: LogitLens, shown: Sequence[int]) -> str:
    """The one target of these positions, in quotes, or words for each one's own."""
    targets = {text for j in shown if (text := lens.target[j])}
    return f"“{targets.pop()}”" if len(targets) == 1 else "the text's own next token"


def _hover(lens: LogitLens, layer: int, position: int) -> str:
    """The likeliest tokens, and where the target is."""
    name = lens.layers[layer]
    where = "after the last layer" if name == "out" else f"at layer {name}"
    lines = [f"after {hover_text(lens.tokens[position])}_{position}, {where}"]
    lines += [
        f"{hover_text(token)}  {probability:.1%}"
        for token, probability in zip(
            lens.predicted[layer][position], lens.probabilities[layer, position], strict=True
        )
    ]
    if lens.rank[layer, position] >= 0:
        lines.append(
            f"target {hover_text(lens.target[position])}: rank {lens.rank[layer, position]}, "
            f"{lens.log_prob[layer, position]:.2f} nats"
        )
    lines.append(f"entropy {lens.entropy[layer, position]:.2f} nats")
    if np.isfinite(lens.kl[layer, position]):
        lines.append(f"KL to the next layer {lens.kl[layer, position]:.2f} nats")
    return "<br>".join(lines)
