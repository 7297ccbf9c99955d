"""What the heatmaps share: signed colours, the bar that explains them, an axis of tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from jaxtyping import Float

from workbench.figures import theme
from workbench.figures.text import plain, shorten

_TICKS = 24  # slanted labels that stand side by side at half width


def signed_heatmap(
    values: Float[np.ndarray, "row column"], names: Sequence[Sequence[str]], unit: str
) -> go.Heatmap:
    """Rows by columns, counted from 0; colours are symmetric about 0, missing cells empty.

    `names` are the cells' names in the hover, escaped already.
    """
    most = float(np.nanmax(np.abs(values))) or 1.0
    return go.Heatmap(
        z=values,
        x=list(range(values.shape[1])),
        y=list(range(values.shape[0])),
        zmin=-most,
        zmax=most,
        zmid=0,
        colorscale=theme.DIVERGING,
        xgap=1,
        ygap=1,
        hoverongaps=False,
        customdata=names,
        hovertemplate=f"%{{customdata}}: %{{z:+.3f}} {unit}<extra></extra>",
        colorbar=colorbar(unit),
    )


def colorbar(title: str) -> dict[str, Any]:
    """The bar that explains the colours, as high as the plot, its (escaped) title on top."""
    return {"title": {"text": title, "side": "top"}, "len": 1.0, "xpad": 6, "ypad": 0}


def token_axis(tokens: Sequence[str], shown: Sequence[int]) -> dict[str, Any]:
    """A column for each position shown; where they are many, not every one has its label."""
    labelled = shown[:: -(-len(shown) // _TICKS)]
    return {
        "tickmode": "array",
        "tickvals": list(labelled),
        "ticktext": [f"{plain(shorten(tokens[j], 10))}_{j}" for j in labelled],
        "tickangle": -60,
        "showgrid": False,
        "zeroline": False,
        "range": [shown[0] - 0.5, shown[-1] + 0.5],
    }
