"""Draw the principal components of a set of vectors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import plotly.graph_objects as go

from workbench.figures import theme

if TYPE_CHECKING:
    from workbench.analysis.subspaces import Spectrum


def draw_spectrum(
    spectrum: Spectrum, *, title: str = "How many directions the vectors span"
) -> go.Figure:
    """Draw each component's share of the vectors' sum of squares."""
    n = len(spectrum.shares)
    figure = go.Figure(
        go.Bar(
            x=list(range(1, n + 1)),
            y=spectrum.shares,
            marker={"color": theme.BLUE},
            customdata=spectrum.shares.cumsum(),
            hovertemplate="component %{x}: %{y:.1%}<br>together %{customdata:.1%}<extra></extra>",
        )
    )
    figure.add_hline(y=1 / n, line={"color": theme.LINE, "dash": "dot", "width": 1.2})
    figure.update_xaxes(title={"text": "component"}, dtick=max(1, -(-n // 12)), zeroline=False)
    figure.update_yaxes(
        title={"text": "share of the sum of squares"},
        tickformat=".0%",
        range=[0, 1.1 * max(spectrum.shares)],
    )
    figure.update_layout(bargap=0.3)
    return theme.finish(
        figure,
        title=title,
        caption=(
            f"{len(spectrum.labels)} unit vectors, effective rank {spectrum.effective_rank:.1f}; "
            f"as many random ones: {spectrum.random_rank:.1f} (95% {spectrum.random_low:.1f} to "
            f"{spectrum.random_high:.1f}). Dotted: all components alike."
        ),
        plot_height=220,
        left=64,
        below=46,
    )
