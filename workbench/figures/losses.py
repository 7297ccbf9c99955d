"""Draw the losses of optimizations."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import plotly.graph_objects as go

from workbench.figures import theme
from workbench.figures.text import hover_text, tick_labels


@runtime_checkable
class Run(Protocol):
    """What the figure asks of a run; `workbench.OneShotRun` has it.

    `loss` belongs to the vector that was kept, which has had `step` updates. A run may also have
    a `last_loss`, that of the vector after the last update, and a `label`.
    """

    @property
    def losses(self) -> Sequence[float]: ...

    @property
    def step(self) -> int: ...

    @property
    def loss(self) -> float: ...


def draw_losses(
    runs: Run | Iterable[Run] | Mapping[str, Run],
    labels: Sequence[str] | None = None,
    *,
    log_y: bool = False,
    target: float | int | None = None,
    title: str = "Loss while optimizing",
) -> go.Figure:
    """Draw one line a run: the loss in nats by steps taken, the vector that was kept marked.

    `runs`: one run, several, or a mapping from labels to runs. Labels default to a run's own
    `label`, else its vector's, else "run i". Losses that are not finite, or not positive under
    `log_y`, are gaps.
    """
    if isinstance(runs, Mapping):
        names, listed = [str(name) for name in runs], list(runs.values())
    else:
        listed = [runs] if hasattr(runs, "losses") else list(runs)
        names = [_label(run) or f"run {i}" for i, run in enumerate(listed, 1)]
    if not listed:
        raise ValueError("there are no runs to draw")
    if labels is not None:
        if len(labels) != len(listed):
            raise ValueError(f"{len(labels)} labels for {len(listed)} runs")
        names = list(labels)
    shown = tick_labels(names, 22)
    named = list(shown) if len(listed) > 1 else []
    curves = [[*run.losses, *_last(run)] for run in listed]
    longest = max(2, *map(len, curves))

    figure = go.Figure()
    for i, (run, curve, name, short) in enumerate(zip(listed, curves, names, shown, strict=True)):
        colour = theme.PALETTE[i % len(theme.PALETTE)]
        dash = theme.DASHES[i // len(theme.PALETTE) % len(theme.DASHES)]
        whole = hover_text(name)
        figure.add_scatter(
            x=list(range(len(curve))),
            y=[_drawable(loss, log_y) for loss in curve],
            mode="lines" if len(curve) > 1 else "markers",
            name=short,
            legendgroup=str(i),
            line={"color": colour, "dash": dash, "width": 2},
            connectgaps=False,
            showlegend=len(listed) > 1,
            hovertemplate=f"{whole}<br>step %{{x}}: %{{y:.4g}} nats<extra></extra>",
        )
        kept = _drawable(run.loss, log_y)
        if kept is not None:
            figure.add_scatter(
                x=[int(run.step)],
                y=[kept],
                mode="markers",
                cliponaxis=False,
                legendgroup=str(i),
                showlegend=False,
                marker={"color": colour, "size": 11, "symbol": "star"},
                hovertemplate=f"{whole}<br>kept: step %{{x}}, %{{y:.4g}} nats<extra></extra>",
            )
    if target is not None and _drawable(target, log_y) is not None:
        # Named above the plot: a label beside the line would stand on the curves that end there.
        figure.add_scatter(
            x=[0, longest - 1],
            y=[target, target],
            mode="lines",
            name=f"target {target:g}",
            line={"color": theme.LINE, "dash": "dash", "width": 1.3},
            hovertemplate=f"target: {target:g} nats<extra></extra>",
        )
        named.append(f"target {target:g}")

    pad = max(0.5, 0.02 * longest)
    figure.update_xaxes(title={"text": "step"}, range=[-pad, longest - 1 + pad], zeroline=False)
    figure.update_yaxes(title={"text": "loss, nats"})
    if log_y:
        figure.update_yaxes(type="log", dtick=1, minor={"ticks": "", "showgrid": True})
    else:
        figure.update_yaxes(rangemode="tozero")
    many = len(listed) > 1
    caption = (
        f"{len(listed)} {'runs' if many else 'run'}. Loss of the vector after so many steps, "
        "summed over the tokens of the example's completions. Star: the vector that was kept."
    )
    return theme.finish(
        figure,
        title=title if many else f"{title}: {names[0]}" if _label(listed[0]) else title,
        caption=caption,
        plot_height=280,
        left=62,
        below=46,
        legend=named,
    )


def _label(run: Any) -> str:
    """The run's own name, or its vector's."""
    return getattr(run, "label", "") or getattr(getattr(run, "vector", None), "label", "") or ""


def _last(run: Any) -> list[float]:
    """The loss after the last step, where the run tells it."""
    last = getattr(run, "last_loss", None)
    return [] if last is None else [last]


def _drawable(value: float | int, log_y: bool) -> float | None:
    """The number, or None where it has no place on the axis."""
    value = float(value)
    return value if math.isfinite(value) and (value > 0 or not log_y) else None
