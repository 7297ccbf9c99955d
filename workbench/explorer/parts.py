"""What the tabs share: the panel's common ground, labelled controls, figures that take clicks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import ipywidgets as ipw
import plotly.graph_objects as go

from workbench.explorer.markup import error
from workbench.explorer.state import State
from workbench.explorer.worker import Task, Worker, turn

WIDE = ipw.Layout(width="auto", flex="1 1 320px", min_width="240px")
ROW = ipw.Layout(flex_flow="row wrap", align_items="center")
LABELLED = {"description_width": "initial"}


@dataclass(eq=False)
class Ground:
    """One panel's state, its workers, and the place where errors are shown.

    `quick` answers what a slider asks while `long` generates or optimizes.
    """

    state: State
    quick: Worker
    long: Worker
    alert: ipw.HTML

    @classmethod
    def of(cls, state: State) -> Ground:
        """Workers whose errors are shown in the panel."""
        alert = ipw.HTML()

        def failed(message: str) -> None:
            alert.value = error(message)

        return cls(state, Worker(failed), Worker(failed), alert)

    def calm(self) -> None:
        """Take the last error away."""
        self.alert.value = ""

    def alone(self, work: Callable[[Task], None]) -> Callable[[Task], None]:
        """Work that has the model to itself for all of its time."""

        def done(task: Task) -> None:
            with turn(self.state.model):
                if not task.stopped:
                    work(task)

        return done


def text_box(label: str, rows: int = 3, placeholder: str = "") -> ipw.Textarea:
    """A box for text, named for screen readers."""
    return ipw.Textarea(
        description=label, placeholder=placeholder, rows=rows, style=LABELLED, layout=WIDE
    )


def button(label: str, hint: str, pressed: Callable[[], None], style: str = "") -> ipw.Button:
    """A button with a hint."""
    made = ipw.Button(description=label, tooltip=hint, button_style=style)
    made.on_click(lambda _: pressed())
    return made


def shown(
    figure: go.Figure, clicked: Callable[[Any], None] | None = None, trace: int = 0
) -> go.FigureWidget:
    """A figure in the page; `clicked` gets the points of a click on one trace."""
    widget = go.FigureWidget(figure)
    if clicked is not None:
        widget.data[trace].on_click(lambda trace, points, state: clicked(points))
    return widget
