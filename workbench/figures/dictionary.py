"""Draw the features of a dictionary that are nearest a vector."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import plotly.graph_objects as go

from workbench.figures import theme
from workbench.figures.text import hover_text, shorten, tick_labels

if TYPE_CHECKING:
    from workbench.analysis.dictionary import DictionaryMatch


def draw_dictionary(
    match: DictionaryMatch,
    *,
    names: Mapping[int, str] | None = None,
    title: str | None = None,
) -> go.Figure:
    """Draw cosines with the nearest features as bars; grey is what random vectors reach.

    `names` are those of features by their row in the dictionary; others are called by it.
    """
    features = [int(each) for each in match.features]
    named = names or {}
    whole = [f"{named[i]} ({i})" if i in named else f"feature {i}" for i in features]
    shown = tick_labels([named.get(i, f"feature {i}") for i in features], 24)
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
                width=0.7,  # else as wide as a trace's rows are apart
                name="along" if positive else "against",
                marker={"color": colour},
                customdata=[hover_text(whole[i]) for i in some],
                hovertemplate="%{customdata}<br>cosine %{x:.3f}<extra></extra>",
            )
    reach = 1.1 * max(match.random_max, float(abs(match.cosines).max()))
    figure.update_xaxes(title={"text": "cosine"}, range=[-reach, reach], zeroline=True)
    figure.update_yaxes(**theme.named_rows(shown))
    figure.update_layout(barmode="overlay")
    whose = f" of “{shorten(match.label, 30)}”" if match.label else ""
    return theme.finish(
        figure,
        title=title or f"Nearest features{whose}",
        caption=(
            f"Grey: within the largest cosine of a random vector, {match.random_max:.2f} on "
            f"average. {len(match.fitted)} features together explain {match.explained[-1]:.0%} of "
            "the vector."
        ),
        plot_height=max(20 * len(shown), 100),
        left=theme.left_margin(shown),
        below=46,
    )
