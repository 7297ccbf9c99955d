"""Draw how steering changes what a logit lens reads, layer by layer and position by position."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import plotly.graph_objects as go

from workbench.figures import theme
from workbench.figures.heatmap import signed_heatmap
from workbench.figures.logit_lens import label_axes, named_target
from workbench.figures.text import hover_text

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
    figure.update_traces(x=shown)
    label_axes(figure, steered, shown)
    return theme.finish(
        figure,
        title=title,
        caption=(
            f"Log-prob of {named_target(steered, shown)}, read at each layer: steered less "
            "unsteered."
        ),
        plot_height=_ROW * n_layers,
        left=58,
        right=84,
        below=96,
        min_width=142 + 12 * len(shown),
    )
