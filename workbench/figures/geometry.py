"""Draw the cosines between vectors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import plotly.graph_objects as go

from workbench.figures import theme
from workbench.figures.heatmap import colorbar
from workbench.figures.text import MINUS, hover_text, tick_labels

if TYPE_CHECKING:
    from workbench.analysis.geometry import CosineGeometry

_VALUES_UP_TO = 12  # cells large enough at half width to hold their number


def draw_cosine_geometry(
    geometry: CosineGeometry, *, title: str = "Cosine between steering vectors"
) -> go.Figure:
    """Draw the cosine matrix as a heatmap fixed to -1..1, with a dendrogram if it was clustered."""
    order = list(geometry.order)
    n = len(order)
    labels = [geometry.labels[i] for i in order]
    shown = tick_labels(labels, 22)
    # Columns carry the names only where these fit; else numbers that the rows' names repeat.
    if max(map(len, shown)) * n > 40:
        shown = [f"{label}  [{i}]" for i, label in enumerate(shown, 1)]
        across = [f"[{i}]" for i in range(1, n + 1)]
    else:
        across = shown
    matrix = np.asarray(geometry.matrix)[np.ix_(order, order)]
    whole = [
        f"{hover_text(geometry.labels[i], 40)}<br>layer {geometry.layers[i]}, "
        f"norm {geometry.norms[i]:.3g}"
        for i in order
    ]
    pairs = [[f"{row}<br><br>{column}" for column in whole] for row in whole]

    figure = go.Figure(
        go.Heatmap(
            z=matrix,
            x=list(range(n)),
            y=list(range(n)),
            zmin=-1,
            zmax=1,
            zmid=0,
            colorscale=theme.DIVERGING,
            xgap=1 if n <= 20 else 0,
            ygap=1 if n <= 20 else 0,
            customdata=pairs,
            hovertemplate="cosine %{z:.3f}<br><br>%{customdata}<extra></extra>",
            hoverongaps=False,
            colorbar={
                **colorbar("cosine"),
                "tickvals": [-1, 0, 1],
                "ticktext": [f"{MINUS}1", "0", "1"],
            },
        )
    )
    if n <= _VALUES_UP_TO:
        _add_values(figure, matrix)
    ticks = {"tickmode": "array", "tickvals": list(range(n)), "showgrid": False, "zeroline": False}
    figure.update_xaxes(ticktext=across, range=[-0.5, n - 0.5], tickangle=0, **ticks)
    figure.update_yaxes(ticktext=shown, range=[n - 0.5, -0.5], **ticks)
    if n > 30:  # names no longer fit beside the rows
        every = list(range(0, n, -(-n // 25)))
        figure.update_xaxes(tickvals=every[::2], ticktext=[across[i] for i in every[::2]])
        figure.update_yaxes(tickvals=every, ticktext=[shown[i] for i in every])
    height = min(max(n * 34, 160), 560)
    if geometry.linkage is not None:
        height += 70
        _add_dendrogram(figure, geometry, share=60 / height)

    band = geometry.random
    layers = dict.fromkeys(str(geometry.layers[i]) for i in order)
    where = f"{'layer' if len(layers) == 1 else 'layers'} {', '.join(layers)}"
    caption = (
        f"{n} vectors of {where}. Two random vectors of this width ({geometry.d_model}): "
        f"|cosine| {band.mean_abs:.3f} on average, {band.confidence:.0%} of cosines within "
        f"±{band.high:.3f}."
    )
    if geometry.linkage is not None:
        caption += f" Tree: average linkage on 1 {MINUS} cosine."
    return theme.finish(
        figure,
        title=title,
        caption=caption,
        plot_height=height,
        left=theme.left_margin(shown),
        right=70,
        below=28,
        min_width=min(theme.left_margin(shown) + 22 * n + 70, 480),
    )


def _add_values(figure: go.Figure, matrix: np.ndarray) -> None:
    """Write each cell's value on it, in ink that stands out from the cell's colour.

    As a trace of its own: a heatmap's text has one colour, chosen by Plotly and often faint.
    """
    n = len(matrix)
    figure.add_scatter(
        x=list(range(n)) * n,
        y=[i for i in range(n) for _ in range(n)],
        mode="text",
        text=[_cell(value, n) for value in matrix.flat],
        textfont={
            "size": 12 if n <= 6 else 10 if n <= 9 else 9,
            "color": ["#ffffff" if abs(value) > 0.6 else "#1f2933" for value in matrix.flat],
        },
        hoverinfo="skip",
        showlegend=False,
    )


def _cell(value: float, n: int) -> str:
    """A cosine short enough for its cell: 0.43, or .43 where the cells are small."""
    text = f"{value:.2f}"
    if text in ("0.00", "-0.00"):
        text = "0.00"
    elif n > 8 and abs(value) < 0.995:
        text = text.replace("0.", ".", 1)
    return text.replace("-", MINUS)


def _add_dendrogram(figure: go.Figure, geometry: CosineGeometry, share: float) -> None:
    """Add the tree over the columns, in the upper `share` of the plot."""
    from scipy.cluster.hierarchy import dendrogram

    tree = dendrogram(np.asarray(geometry.linkage), no_plot=True)
    x: list[float | None] = []
    y: list[float | None] = []
    for across, up in zip(tree["icoord"], tree["dcoord"], strict=True):
        x += [*((value - 5) / 10 for value in across), None]  # scipy puts leaf i at 10 i + 5
        y += [*up, None]
    figure.add_scatter(
        x=x,
        y=y,
        yaxis="y2",
        mode="lines",
        line={"color": theme.LINE, "width": 1.3},
        hovertemplate=f"joined at 1 {MINUS} cosine = %{{y:.3f}}<extra></extra>",
        showlegend=False,
    )
    figure.update_layout(
        yaxis={"domain": [0, 1 - share - 0.02]},
        yaxis2={
            "domain": [1 - share, 1],
            "anchor": "x",
            "rangemode": "tozero",
            "showgrid": False,
            "zeroline": False,
            "nticks": 3,
            "title": {"text": f"1 {MINUS} cos"},
        },
    )
    figure.update_traces(selector={"type": "heatmap"}, colorbar={"len": 1 - share, "y": 0})
    figure.update_traces(selector={"type": "heatmap"}, colorbar={"yanchor": "bottom"})
