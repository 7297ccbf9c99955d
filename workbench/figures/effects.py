"""Draw how alike the changes are that different vectors make, from layer to layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import plotly.graph_objects as go
from jaxtyping import Float

from workbench.figures import theme
from workbench.figures.intervals import band
from workbench.figures.text import MINUS, hover_text, tick_labels

if TYPE_CHECKING:
    from workbench.analysis.effects import EffectGeometry

_LINES_UP_TO = 60  # pairs drawn one by one


def draw_effects(
    effects: EffectGeometry,
    *,
    kinds: Sequence[str] | None = None,
    title: str = "How alike the changes are that two vectors make",
) -> go.Figure:
    """Draw the mean cosine by place of each kind of pair, 95% of its pairs as a band.

    `kinds` names one for each of `effects.pairs` (random ones are a baseline); without it each
    pair is one where there are few, and else all are of one kind, with thin lines for pairs.
    Raises ValueError where kinds and pairs do not pair.
    """
    names = _kinds(effects) if kinds is None else list(kinds)
    if len(names) != len(effects.pairs):
        raise ValueError(f"{len(names)} kinds for {len(effects.pairs)} pairs")
    places = list(range(len(effects.places)))
    by_pair = effects.cosines.mean(axis=2)
    order = list(dict.fromkeys(names))
    legend = tick_labels(order, 40)
    figure = go.Figure()
    for i, (kind, label) in enumerate(zip(order, legend, strict=True)):
        colour = theme.PALETTE[i % len(theme.PALETTE)]
        mine = [j for j, name in enumerate(names) if name == kind]
        part = replace(
            effects,
            pairs=tuple(effects.pairs[j] for j in mine),
            cosines=effects.cosines[:, mine],
        )
        summary = part.convergence()
        if len(mine) > 1:
            fill = theme.see_through(colour)
            figure.add_trace(band(places, summary["low"], summary["high"], fill))
        if len(order) == 1 < len(mine):
            _add_pairs(figure, effects, by_pair)
        figure.add_scatter(
            x=places,
            y=summary["cosine"],
            mode="lines+markers",
            line={"color": colour, "width": 2, "dash": theme.DASHES[i % len(theme.DASHES)]},
            marker={"size": 6},
            name=label,
            customdata=[_where(place) for place in effects.places],
            hovertemplate=(
                f"{hover_text(kind)}, n = {len(mine)}<br>%{{customdata}}<br>"
                "mean cosine %{y:.2f}<extra></extra>"
            ),
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
    bands = " Bands: 95% of the pairs." if len(order) < len(names) else ""
    return theme.finish(
        figure,
        title=title,
        caption=(
            f"{len(effects.labels)} vectors, {len(effects.pairs)} pairs, {n} prompts; changes at "
            f"the last token.{bands}"
        ),
        plot_height=260,
        left=64,
        below=46,
        legend=legend if len(order) > 1 else (),
    )


def _kinds(effects: EffectGeometry) -> list[str]:
    """Each pair by its labels where there are as many colours, else all alike."""
    if len(effects.pairs) > len(theme.PALETTE):
        return ["all pairs"] * len(effects.pairs)
    return [f"{effects.labels[a]} and {effects.labels[b]}" for a, b in effects.pairs]


def _add_pairs(
    figure: go.Figure, effects: EffectGeometry, by_pair: Float[np.ndarray, "place pair"]
) -> None:
    """A thin line for each pair."""
    for i, (a, b) in enumerate(effects.pairs[:_LINES_UP_TO]):
        name = f"{hover_text(effects.labels[a])} and {hover_text(effects.labels[b])}"
        figure.add_scatter(
            x=list(range(len(by_pair))),
            y=by_pair[:, i],
            mode="lines",
            line={"color": theme.LINE, "width": 0.7},
            opacity=0.6,
            hovertemplate=f"{name}<br>cosine %{{y:.2f}}<extra></extra>",
            showlegend=False,
        )


def _where(place: str) -> str:
    if place == "out":
        return "the last layer's output"
    return "the logits" if place == "logits" else f"the input of layer {place}"
