"""Draw how alike the changes are that different vectors make, from layer to layer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import plotly.graph_objects as go

from workbench.figures import theme
from workbench.figures.intervals import band
from workbench.figures.text import MINUS, hover_text

if TYPE_CHECKING:
    from workbench.analysis.effects import EffectGeometry

_LINES_UP_TO = 60  # pairs drawn one by one


def draw_effects(
    effects: EffectGeometry,
    *,
    title: str = "How alike the changes are that two vectors make",
) -> go.Figure:
    """Draw the mean cosine of all pairs by place, 95% of pairs as a band, pairs as thin lines."""
    summary = effects.convergence()
    places = list(range(len(effects.places)))
    by_pair = effects.cosines.mean(axis=2)
    figure = go.Figure()
    figure.add_trace(band(places, summary["low"], summary["high"], theme.STEERED_BAND))
    for i, (a, b) in enumerate(effects.pairs[:_LINES_UP_TO]):
        name = f"{hover_text(effects.labels[a])} and {hover_text(effects.labels[b])}"
        figure.add_scatter(
            x=places,
            y=by_pair[:, i],
            mode="lines",
            line={"color": theme.LINE, "width": 0.7},
            opacity=0.6,
            hovertemplate=f"{name}<br>cosine %{{y:.2f}}<extra></extra>",
            showlegend=False,
        )
    figure.add_scatter(
        x=places,
        y=summary["cosine"],
        mode="lines+markers",
        line={"color": theme.BLUE, "width": 2},
        marker={"size": 6},
        customdata=[_where(place) for place in effects.places],
        hovertemplate="%{customdata}<br>mean cosine %{y:.2f}<extra></extra>",
        showlegend=False,
    )
    figure.add_hline(y=0, line={"color": theme.LINE, "width": 1}, layer="below")
    step = max(1, -(-len(places) // 14))
    shown = [i for i in places[:-2] if i % step == 0 and i < len(places) - 2 - step // 2]
    shown += [len(places) - 1]
    figure.update_xaxes(
        title={"text": "where the change is read: input of a layer, and the logits"},
        tickmode="array",
        tickvals=shown,
        ticktext=[effects.places[i] for i in shown],
        zeroline=False,
    )
    lowest = float(np.min(by_pair))
    figure.update_yaxes(
        title={"text": "cosine"},
        range=[-1.03 if lowest < -0.2 else min(-0.25, lowest - 0.05), 1.03],
        tickvals=[-1, -0.5, 0, 0.5, 1],
        ticktext=[f"{MINUS}1", f"{MINUS}0.5", "0", "0.5", "1"],
        zeroline=False,
    )
    n = effects.cosines.shape[2]
    return theme.finish(
        figure,
        title=title,
        caption=(
            f"{len(effects.labels)} vectors, {len(effects.pairs)} pairs, {n} prompts; changes at "
            "the last token. Band: 95% of the pairs."
        ),
        plot_height=260,
        left=64,
        below=46,
    )


def _where(place: str) -> str:
    if place == "out":
        return "the last layer's output"
    return "the logits" if place == "logits" else f"the input of layer {place}"
