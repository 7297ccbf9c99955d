"""Draw the features of a dictionary that are nearest a vector."""

from __future__ import annotations

from typing import TYPE_CHECKING

import plotly.graph_objects as go

from workbench.figures import theme
from workbench.figures.text import shorten

if TYPE_CHECKING:
    from workbench.analysis.dictionary import DictionaryMatch


def draw_dictionary(match: DictionaryMatch, *, title: str | None = None) -> go.Figure:
    """Draw cosines with the nearest features as bars; grey is what random vectors reach."""
    features = [int(each) for each in match.features]
    figure = go.Figure()
    figure.add_vrect(
        x0=-match.random_max,
        x1=match.random_max,
        fillcolor=theme.BAND,
        line={"width": 0},
        layer="below",
    )
    for positive, colour in ((True, theme.POSITIVE), (False, theme.NEGATIVE)):
        some = [i for i, cosine in enumerate(match.cosines) if (cosine >= 0) == positive]
        if some:
            figure.add_bar(
                x=[float(match.cosines[i]) for i in some],
                y=some,
                orientation="h",
                name="along" if positive else "against",
                marker={"color": colour},
                customdata=[features[i] for i in some],
                hovertemplate="feature %{customdata}<br>cosine %{x:.3f}<extra></extra>",
            )
    reach = 1.1 * max(match.random_max, float(abs(match.cosines).max()))
    figure.update_xaxes(title={"text": "cosine"}, range=[-reach, reach], zeroline=True)
    names = [f"feature {each}" for each in features]
    figure.update_yaxes(**theme.named_rows(names))
    figure.update_layout(bargap=0.3, barmode="overlay")
    whose = f" of “{shorten(match.label, 30)}”" if match.label else ""
    return theme.finish(
        figure,
        title=title or f"Nearest features{whose}",
        caption=(
            f"Grey: within the largest cosine of a random vector, {match.random_max:.2f} on "
            f"average. {len(match.fitted)} features together explain {match.explained[-1]:.0%} of "
            "the vector."
        ),
        plot_height=max(20 * len(names), 100),
        left=theme.left_margin(names),
        below=46,
    )
