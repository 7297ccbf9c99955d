"""Draw the tokens that a vector promotes and suppresses."""

from __future__ import annotations

from typing import TYPE_CHECKING

import plotly.graph_objects as go

from workbench.figures import theme
from workbench.figures.text import hover_text, shorten, tick_labels

if TYPE_CHECKING:
    from workbench.analysis.vector_lens import VectorLens


def draw_vector_lens(lens: VectorLens, *, title: str | None = None) -> go.Figure:
    """Draw the lens's tokens as bars of z-scores, promoted to the right, suppressed to the left.

    The grey band is what a random vector of the same norm reaches at most, on average.
    """
    # From the most promoted at the top to the most suppressed at the bottom.
    sides = [("promotes", theme.POSITIVE, lens.promoted)]
    sides.append(("suppresses", theme.NEGATIVE, tuple(reversed(lens.suppressed))))
    shown = tick_labels([token.token for _, _, tokens in sides for token in tokens], 18)

    figure = go.Figure()
    row = 0
    for name, colour, tokens in sides:
        figure.add_bar(
            x=[token.z for token in tokens],
            y=list(range(row, row + len(tokens))),
            orientation="h",
            width=0.75,
            name=name,
            marker={"color": colour},
            customdata=[
                [hover_text(token.token), token.token_id, f"{token.logit:+.3g}"] for token in tokens
            ],
            hovertemplate="%{customdata[0]} (id %{customdata[1]})<br>z = %{x:.2f}<br>"
            "%{customdata[2]} logits per unit of the stream<extra></extra>",
        )
        row += len(tokens)
    band = lens.random_max_z
    figure.add_vrect(x0=-band, x1=band, fillcolor=theme.BAND, line={"width": 0}, layer="below")
    for edge in (-band, band):
        figure.add_vline(x=edge, line={"color": theme.LINE, "dash": "dot", "width": 1.2})
    if lens.promoted and lens.suppressed:
        figure.add_hline(
            y=len(lens.promoted) - 0.5, line={"color": theme.LINE, "width": 1}, layer="below"
        )

    reach = 1.08 * max(band, *(abs(t.z) for _, _, tokens in sides for t in tokens))
    figure.update_xaxes(title={"text": "logit's z-score over the vocabulary"})
    figure.update_xaxes(range=[-reach, reach], zeroline=True)
    figure.update_yaxes(range=[row - 0.4, -0.6], **theme.named(shown))
    whose = f" by “{shorten(lens.label, 30)}”" if lens.label else ""
    caption = (
        f"Direct path of the layer {lens.layer} vector through the final norm's weight and the "
        f"unembedding, {lens.n_vocab:,} tokens. Grey: within the largest |z| of a random vector "
        f"of equal norm, {band:.1f} on average (95% {lens.random_low:.1f} to "
        f"{lens.random_high:.1f}, {lens.n_random} vectors). ␣: space."
    )
    return theme.finish(
        figure,
        title=title or f"Tokens promoted and suppressed{whose}",
        caption=caption,
        plot_height=max(row * 18, 120),
        left=theme.left_margin(shown),
        below=46,
        legend=["promotes", "suppresses"],
    )
