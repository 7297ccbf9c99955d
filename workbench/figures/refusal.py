"""Draw one-shot vectors beside the refusal direction: a dashboard of six panels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from workbench.figures import theme
from workbench.figures.intervals import Interval, error_bars, numbers, spread
from workbench.figures.text import hover_text, tick_labels

if TYPE_CHECKING:
    from workbench.analysis.mediation import Mediation
    from workbench.analysis.refusal_comparison import RefusalComparison

_SYMBOLS = ("circle", "diamond", "square", "triangle-up")
_HEIGHT, _TITLE = 230, 24  # pixels: a panel, its title
_PANELS = (
    "Attack success",
    "Harmless requests refused",
    "Cost on harmless requests",
    "Cosine with the refusal direction",
    "Projection of requests",
    "Attack success of a vector's parts",
)
_PERCENT = {"tickformat": ".0%", "range": [-0.04, 1.04], "tickvals": [0, 0.25, 0.5, 0.75, 1]}
_HARMFUL, _HARMLESS = "harmful", "harmless"


def draw_refusal_comparison(
    comparison: RefusalComparison, *, title: str = "One-shot vectors beside the refusal direction"
) -> go.Figure:
    """Draw what each vector does in every way, how the vectors lie, and what acts through what.

    All vectors point towards answering: the refusal direction and the difference of means are
    turned round.
    """
    labels = list(comparison.separated.labels)
    names = tick_labels(labels, 24)
    figure = make_subplots(
        rows=3,
        cols=2,
        subplot_titles=_PANELS,
        vertical_spacing=0.14,
        horizontal_spacing=0.13,
    )
    for i, (label, name) in enumerate(zip(labels, names, strict=True)):
        _ways(figure, comparison, label, name, i, len(labels))
    _cosines(figure, comparison)
    _projections(figure, comparison, labels)
    _parts(figure, comparison.mediation)
    unsteered = comparison.effects[comparison.effects["kind"] == "unsteered"].iloc[0]
    for column, name in ((1, "success"), (2, "false_refusals")):
        figure.add_hline(
            y=float(unsteered[name]),
            line={"color": theme.GREY, "dash": "dash", "width": 1.2},
            row=1,
            col=column,
        )
        figure.update_yaxes(zeroline=False, row=1, col=column, **_PERCENT)
    figure.update_yaxes(title={"text": "KL, nats a token"}, type="log", dtick=1, row=2, col=1)
    n, harmless = int(unsteered["n"]), int(unsteered["n_harmless"])
    whole = comparison.mediation.mean("whole")
    over = f"{whole.n_vectors} vectors and {n} requests" if whole else "too few vectors: none"
    figure.update_annotations(font={"size": theme.TEXT_SIZE})
    plot_height = 3 * _HEIGHT + 120
    finished = theme.finish(
        figure,
        title=title,
        caption=(
            f"{n} harmful and {harmless} harmless requests; success by the strict rule. Dashed: "
            "unsteered. Bars: Wilson intervals; parts: means and two-level intervals over "
            f"{over}. All vectors point towards answering; cosines "
            "are taken across layers. Grey: 95% of random directions."
        ),
        plot_height=plot_height,
        left=62,
        below=60,
        legend=[*names, _HARMFUL, _HARMLESS],
        min_width=640,
    )
    # The upper panels' titles stand between the plot and the legend.
    finished.layout.legend.itemsizing = "constant"  # else the requests' small marks are unseen
    finished.layout.legend.y = 1 + _TITLE / plot_height
    finished.layout.margin.t += _TITLE
    finished.layout.height += _TITLE
    return finished


def _ways(
    figure: go.Figure,
    comparison: RefusalComparison,
    label: str,
    name: str,
    number: int,
    count: int,
) -> None:
    """One vector in every way: success, false refusals and KL, set beside the other vectors'."""
    rows = comparison.effects[comparison.effects["vector"] == label]
    ways = list(rows["way"])
    colour = theme.PALETTE[number % len(theme.PALETTE)]
    x = [place + spread(count, 0.16)[number] for place in range(len(ways))]
    hover = [
        f"{hover_text(label)}, {way}<br>success {success:.0%}, without a refusal {raw:.0%}<br>"
        f"harmless refused {refused:.0%}<br>KL {kl:.3g} nats a token"
        for way, success, raw, refused, kl in zip(
            ways, rows["success"], rows["raw"], rows["false_refusals"], rows["kl"], strict=True
        )
    ]
    panels = (
        ("success", ("low", "high"), 1, 1),
        ("false_refusals", ("false_low", "false_high"), 1, 2),
        ("kl", None, 2, 1),
    )
    for column, ends, row, col in panels:
        values = numbers(rows[column])
        bars = None
        if ends is not None:
            low, high = (numbers(rows[end]) for end in ends)
            intervals = [Interval(*each) for each in zip(values, low, high, strict=True)]
            bars = error_bars(intervals, colour)
        figure.add_scatter(
            x=x,
            y=values,
            mode="markers",
            name=name,
            legendgroup=name,
            showlegend=(row, col) == (1, 1),
            marker={"color": colour, "symbol": _SYMBOLS[number % len(_SYMBOLS)], "size": 8},
            error_y=bars,
            customdata=hover,
            hovertemplate="%{customdata}<extra></extra>",
            row=row,
            col=col,
        )
        short = theme.named([way.split(" ")[0] for way in ways])
        figure.update_xaxes(row=row, col=col, **short)


def _cosines(figure: go.Figure, comparison: RefusalComparison) -> None:
    """Every vector's cosine with the direction, by kind, over the band of random directions."""
    geometry, kinds = comparison.geometry, comparison.kinds
    at = next(i for i, label in enumerate(geometry.labels) if kinds[label] == "refusal direction")
    shown = [kind for kind in dict.fromkeys(kinds.values()) if kind != "refusal direction"]
    for place, kind in enumerate(shown):
        some = [i for i, label in enumerate(geometry.labels) if kinds[label] == kind]
        figure.add_scatter(
            x=[place + offset for offset in spread(len(some), 0.6 / max(len(some), 4))],
            y=[float(geometry.matrix[i, at]) for i in some],
            mode="markers",
            marker={"color": theme.GREY, "size": 7},
            showlegend=False,
            customdata=[hover_text(geometry.labels[i]) for i in some],
            hovertemplate="%{customdata}<br>cosine %{y:.3f}<extra></extra>",
            row=2,
            col=2,
        )
    broken = theme.named(["<br>".join(kind.rsplit(" ", 1)) for kind in shown])
    figure.update_xaxes(range=[-0.6, len(shown) - 0.4], row=2, col=2, **broken)
    band = geometry.random
    figure.add_hrect(  # not before: where nothing is drawn yet, Plotly leaves it out
        y0=band.low, y1=band.high, fillcolor=theme.BAND, line={"width": 0}, row=2, col=2
    )
    figure.update_yaxes(row=2, col=2, zeroline=True)


def _projections(figure: go.Figure, comparison: RefusalComparison, labels: list[str]) -> None:
    """Dot products of requests with each vector's unit form, in standard deviations.

    Vectors of different layers meet activations of different sizes, so each is scaled by the
    spread of its own projections.
    """
    rows = comparison.projections
    for harmful, name, colour, side in (
        (True, _HARMFUL, theme.VERMILLION, -0.16),
        (False, _HARMLESS, theme.SKY, 0.16),
    ):
        x: list[float] = []
        y: list[float] = []
        hover: list[str] = []
        for place, label in enumerate(labels):
            mine = rows[rows["vector"] == label]
            middle, size = mine["projection"].mean(), mine["projection"].std() or 1.0
            some = mine[mine["harmful"] == harmful]
            jitter = np.random.default_rng(0).uniform(-0.1, 0.1, len(some))
            x += list(place + side + jitter)
            y += list((some["projection"] - middle) / size)
            hover += [hover_text(request) for request in some["request"]]
        figure.add_scatter(
            x=x,
            y=y,
            mode="markers",
            name=name,
            marker={"color": colour, "size": 4, "opacity": 0.75},
            customdata=hover,
            hovertemplate="%{customdata}<br>%{y:.2f} standard deviations<extra></extra>",
            row=3,
            col=1,
        )
    separated = comparison.separated
    scored = theme.named(
        [
            f"{_SHORT.get(comparison.kinds[label], 'other')}<br>AUC {auc:.2f}"
            for label, auc in zip(separated.labels, separated.auc, strict=True)
        ]
    )
    figure.update_xaxes(row=3, col=1, **scored)
    figure.update_yaxes(title={"text": "standard deviations"}, zeroline=False, row=3, col=1)


_SHORT = {
    "one-shot": "one-shot",
    "refusal direction": "selected",
    "difference of means": "means",
    "random": "random",
}


def _parts(figure: go.Figure, mediation: Mediation) -> None:
    """A line for each vector over whole, without and along; the means with their intervals."""
    frame = mediation.to_frame()
    parts = list(dict.fromkeys(frame["part"]))
    for vector in dict.fromkeys(frame["vector"]):
        some = frame[frame["vector"] == vector]
        figure.add_scatter(
            x=[parts.index(part) for part in some["part"]],
            y=list(some["success"]),
            mode="lines+markers",
            line={"color": theme.LINE, "width": 0.8},
            marker={"color": theme.GREY, "size": 4},
            showlegend=False,
            customdata=[f"{hover_text(vector)}<br>{part}" for part in some["part"]],
            hovertemplate="%{customdata}: %{y:.0%}<extra></extra>",
            row=3,
            col=2,
        )
    means = {i: mean for i, part in enumerate(parts) if (mean := mediation.mean(part)) is not None}
    figure.add_scatter(
        x=list(means),
        y=[found.mean for found in means.values()],
        mode="markers",
        marker={"color": theme.BLUE, "size": 10},
        error_y=error_bars([Interval(m.mean, m.low, m.high) for m in means.values()], theme.BLUE),
        showlegend=False,
        hovertemplate="mean: %{y:.0%}<extra></extra>",
        row=3,
        col=2,
    )
    broken = theme.named(["<br>".join(part.split(" ", 1)) for part in parts])
    figure.update_xaxes(range=[-0.4, len(parts) - 0.6], row=3, col=2, **broken)
    figure.update_yaxes(zeroline=False, row=3, col=2, **_PERCENT)
