"""Draw how steering changes what a logit lens reads, layer by layer and position by position."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import plotly.graph_objects as go

from workbench.figures import theme
from workbench.figures.heatmap import signed_heatmap
from workbench.figures.text import hover_text, plain, shorten

if TYPE_CHECKING:
    from workbench.analysis import LogitLens

_ROW = 15  # pixels


def draw_lens_change(
    unsteered: LogitLens,
    steered: LogitLens,
    *,
    first: int = 0,
    title: str = "What steering changes at each layer",
) -> go.Figure:
    """Draw the change of the target's log-prob, steered less unsteered, in nats.

    Both lenses are of one text and one target. Positions without a target are empty. Raises
    ValueError for lenses of different texts or targets.
    """
    if (unsteered.tokens, unsteered.target) != (steered.tokens, steered.target):
        raise ValueError("the lenses are of different texts or targets: read both alike")
    n_layers, n_positions = steered.rank.shape
    if not 0 <= first < n_positions:
        raise ValueError(f"first must be one of the {n_positions} positions, got {first}")
    shown = list(range(first, n_positions))
    change = np.where(steered.rank >= 0, steered.log_prob - unsteered.log_prob, np.nan)[:, shown]
    if not np.isfinite(change).any():
        raise ValueError("no position shown has a target: name one")
    names = [
        [
            f"“{hover_text(steered.target[j])}” after {hover_text(steered.tokens[j])}_{j}, "
            f"layer {steered.layers[i]}"
            for j in shown
        ]
        for i in range(n_layers)
    ]
    figure = go.Figure(signed_heatmap(change, names, "nats"))
    figure.update_xaxes(
        tickmode="array",
        tickvals=list(range(len(shown))),
        ticktext=[f"{plain(shorten(steered.tokens[j], 10))}_{j}" for j in shown],
        tickangle=-60,
        showgrid=False,
        zeroline=False,
    )
    step = max(1, -(-n_layers // 16))
    layers = sorted({*range(0, n_layers - 1, step), n_layers - 1})
    figure.update_yaxes(
        title={"text": "layer"},
        tickmode="array",
        tickvals=layers,
        ticktext=[steered.layers[i] for i in layers],
        showgrid=False,
        zeroline=False,
    )
    targets = {text for j in shown if (text := steered.target[j])}
    aim = f"“{targets.pop()}”" if len(targets) == 1 else "the text's own next token"
    return theme.finish(
        figure,
        title=title,
        caption=f"Log-prob of {aim}, read at each layer: steered less unsteered.",
        plot_height=_ROW * n_layers,
        left=58,
        right=84,
        below=96,
        min_width=142 + 12 * len(shown),
    )
