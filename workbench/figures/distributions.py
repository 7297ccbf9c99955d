"""Draw how values are spread in several groups: surprisals, projections, losses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go

from workbench.figures import theme
from workbench.figures.text import hover_text, tick_labels

_ROW = 74  # pixels
_MOST_POINTS = 400  # of a group that are drawn one by one


def draw_distributions(
    groups: Mapping[str, Sequence[float | int | None]],
    *,
    measure: str,
    title: str,
    texts: Mapping[str, Sequence[str]] | None = None,
    kinds: Mapping[str, str] | None = None,
) -> go.Figure:
    """Draw a row a group: its density, its values as marks (400 at most), and its median.

    Values that are missing or not finite are left out and counted in the caption; a group without
    any stays an empty row. `texts` are what each value is of, for the hover. `kinds` gives
    labels one of "steered", "negated", "control", "unsteered", which sets the colour. Raises
    ValueError where there are no groups, or texts do not pair with values.
    """
    if not groups:
        raise ValueError("there are no groups to draw")
    shown = tick_labels(list(groups), 24)
    figure = go.Figure()
    missing, sizes, drawn = 0, [], 0
    for row, (label, values) in enumerate(groups.items()):
        said = list((texts or {}).get(label, [""] * len(values)))
        if len(said) != len(values):
            raise ValueError(f"{label!r} has {len(said)} texts for {len(values)} values")
        kept = [
            (float(value), text)
            for value, text in zip(values, said, strict=True)
            if value is not None and np.isfinite(value)
        ]
        missing += len(values) - len(kept)
        sizes.append(len(kept))
        if not kept:
            continue
        colour = theme.PALETTE[row % len(theme.PALETTE)]
        if kinds and label in kinds:
            colour, _ = theme.GROUPS[kinds[label]]
        numbers = np.array([value for value, _ in kept])
        if np.ptp(numbers) > 0:
            x, height = _density(numbers)
            figure.add_scatter(
                x=np.r_[x, x[::-1]],
                y=np.r_[row - 0.62 * height, np.full(len(x), float(row))],
                mode="lines",
                fill="toself",
                fillcolor=theme.BAND,
                line={"color": colour, "width": 1.4},
                hoverinfo="skip",
                showlegend=False,
            )
        step = -(-len(kept) // _MOST_POINTS)
        some = sorted(kept)[::step]
        drawn += len(some)
        figure.add_scatter(
            x=[value for value, _ in some],
            y=row + np.random.default_rng(0).uniform(0.06, 0.24, len(some)),
            mode="markers",
            marker={"color": colour, "size": 4, "opacity": 0.7},
            name=shown[row],
            showlegend=False,
            customdata=[hover_text(text) for _, text in some],
            hovertemplate="%{x:.3g}<br>%{customdata}<extra></extra>",
        )
        middle = float(np.median(numbers))
        figure.add_scatter(
            x=[middle, middle],
            y=[row - 0.3, row + 0.28],
            mode="lines",
            line={"color": colour, "width": 2.4},
            showlegend=False,
            hovertemplate=f"median {middle:.3g}<extra></extra>",
        )
    rows = len(groups)
    figure.update_xaxes(title={"text": measure}, zeroline=False)
    names = [f"{name}<br>n = {size}" for name, size in zip(shown, sizes, strict=True)]
    figure.update_yaxes(range=[rows - 0.6, -0.75], **theme.named(names))
    left_out = f" {missing} values are missing." if missing else ""
    marks = "every value" if drawn == sum(sizes) else f"{drawn} of {sum(sizes)} values"
    return theme.finish(
        figure,
        title=title,
        caption=f"Density, {marks}, and the median as a bar.{left_out}",
        plot_height=_ROW * rows + 20,
        left=theme.left_margin([*shown, "n = 0000"]),
        below=46,
    )


def _density(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A Gaussian kernel density over the values' own range, 1 at its highest."""
    from scipy.stats import gaussian_kde

    x = np.linspace(values.min(), values.max(), 120)
    height = gaussian_kde(values)(x)
    return x, height / height.max()
