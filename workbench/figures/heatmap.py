"""A heatmap of signed values."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
from jaxtyping import Float

from workbench.figures import theme


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
        colorbar={"title": {"text": unit, "side": "right"}, "len": 1.0, "xpad": 6},
    )
