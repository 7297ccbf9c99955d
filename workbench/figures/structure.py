"""Draw where sets of prompts lie in the stream, and how far apart by layer."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
import plotly.graph_objects as go

from workbench.figures import theme
from workbench.figures.intervals import band
from workbench.figures.text import hover_text, plain, shorten, tick_labels

if TYPE_CHECKING:
    from workbench.analysis.geometry import VectorLike
    from workbench.analysis.structure import ActivationStructure, Plane

_SYMBOLS = ("circle", "diamond", "square", "triangle-up", "cross", "x")


def draw_plane(
    plane: Plane,
    vectors: Iterable[VectorLike] = (),
    *,
    title: str | None = None,
) -> go.Figure:
    """Draw prompts as points by set, and what adding each vector does as an arrow from the mean.

    Arrows longer than the points reach are cut to that length, and say so.
    """
    names = list(dict.fromkeys(plane.groups))
    shown = tick_labels(names, 24)
    groups = np.array(plane.groups)
    figure = go.Figure()
    for i, (name, label) in enumerate(zip(names, shown, strict=True)):
        some = plane.coordinates[groups == name]
        figure.add_scatter(
            x=some[:, 0],
            y=some[:, 1],
            mode="markers",
            name=label,
            marker={
                "color": theme.PALETTE[i % len(theme.PALETTE)],
                "symbol": _SYMBOLS[i % len(_SYMBOLS)],
                "size": 7,
                "opacity": 0.8,
            },
            hovertemplate=f"{hover_text(name)}<br>%{{x:.2f}}, %{{y:.2f}}<extra></extra>",
        )
    reach = float(np.abs(plane.coordinates).max()) or 1.0
    cut = False
    ends = [np.abs(plane.coordinates).max(axis=0)]
    for vector in vectors:
        x, y = plane.arrow(vector)
        length = float(np.hypot(x, y))
        scale = min(1.0, reach / length) if length else 1.0
        cut = cut or scale < 1
        ends.append(np.abs([x * scale, y * scale]))
        figure.add_annotation(
            x=x * scale,
            y=y * scale,
            ax=0,
            ay=0,
            xref="x",
            yref="y",
            axref="x",
            ayref="y",
            showarrow=True,
            arrowhead=2,
            arrowwidth=1.6,
            arrowcolor=theme.GREY,
            text="",
        )
        figure.add_annotation(
            x=x * scale,
            y=y * scale,
            text=plain(shorten(vector.label or "vector", 22)),
            yshift=10 if y >= 0 else -10,
        )
    far = 1.15 * np.max(ends, axis=0)
    for axis, share, number in (
        (figure.update_xaxes, plane.shares[0], 1),
        (figure.update_yaxes, plane.shares[1], 2),
    ):
        axis(
            title={"text": f"component {number} ({share:.0%} of variance)"},
            range=[-far[number - 1], far[number - 1]],
            zeroline=False,
        )
    counts = ", ".join(f"{(groups == name).sum()} {shorten(name, 24)}" for name in names)
    arrows = (
        " Arrows: what adding a vector does, from the mean of all prompts"
        if figure.layout.annotations
        else ""
    )
    arrows += "; longer ones are cut." if cut else "." if arrows else ""
    return theme.finish(
        figure,
        title=title or f"Activations at the input of layer {plane.layer}",
        caption=f"{counts}.{arrows}",
        plot_height=360,
        left=64,
        below=46,
        legend=shown,
    )


def draw_separation(
    structure: ActivationStructure, *, title: str = "How far apart the sets lie, by layer"
) -> go.Figure:
    """Draw the held-out AUC by layer, a line for each set, its range over folds as a band."""
    frame = structure.to_frame()
    first = structure.groups[0]
    names = list(dict.fromkeys(frame["group"]))
    shown = tick_labels(names, 24)
    figure = go.Figure()
    for i, (name, label) in enumerate(zip(names, shown, strict=True)):
        rows = frame[frame["group"] == name].sort_values("layer")
        colour = theme.PALETTE[i % len(theme.PALETTE)]
        fill = theme.see_through(colour)
        figure.add_trace(band(rows["layer"], rows["low"], rows["high"], fill))
        figure.add_scatter(
            x=rows["layer"],
            y=rows["auc"],
            mode="lines+markers",
            name=label,
            line={"color": colour, "width": 2, "dash": theme.DASHES[i % len(theme.DASHES)]},
            marker={"size": 6},
            hovertemplate=f"{hover_text(name)}, layer %{{x}}: %{{y:.3f}}<extra></extra>",
        )
    worst = frame.groupby("layer")["shuffled"].max()
    figure.add_scatter(
        x=list(worst.index),
        y=list(worst),
        mode="lines",
        name="shuffled labels",
        line={"color": theme.GREY, "width": 1.4, "dash": "dot"},
        hovertemplate="shuffled labels, 95%: %{y:.3f}<extra></extra>",
    )
    figure.update_xaxes(title={"text": "layer"}, zeroline=False)
    low = min(0.4, float(frame["low"].min()) - 0.03)
    figure.update_yaxes(title={"text": "ROC-AUC on held-out prompts"}, range=[low, 1.03])
    return theme.finish(
        figure,
        title=title,
        caption=(
            f"Difference of means against “{shorten(first, 24)}”, {int(frame['n'].min())} prompts "
            "or more; bands: folds. Dotted: 95% of shuffled labels."
        ),
        plot_height=260,
        left=64,
        below=46,
        legend=[*shown, "shuffled labels"],
    )
