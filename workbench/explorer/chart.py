"""A place for figures in the panel, which fit its width and its theme, and take clicks.

There is one `FigureWidget` a place, and every figure shown there goes into it: a new one would send
Plotly's five megabytes to the page each time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import ipywidgets as ipw
import plotly.graph_objects as go

from workbench.explorer.surroundings import Surroundings
from workbench.figures.theme import CONFIG, TEMPLATES

Clicked = Callable[[Any], None]

WIDEST = 1000  # pixels; a wider figure is not easier to read
_AROUND = 44  # pixels that the panel's frames take of its width
_NONE = "rgba(0, 0, 0, 0)"  # the page's own background
_UNKNOWN = 700  # Plotly's own width, until the page has said how wide it is


class Chart:
    """Shows one figure at a time; `widget` is what stands in the page."""

    def __init__(self, surroundings: Surroundings, hint: str = ""):
        self._around = surroundings
        self._hint = ipw.HTML(f"<i>{hint}</i>" if hint else "")
        self.widget = ipw.VBox([self._hint], layout=ipw.Layout(overflow="auto"))
        self.figure: go.FigureWidget | None = None
        surroundings.observe(lambda change: self._fit(), ["dark", "width"])

    def show(self, figure: go.Figure, clicked: Sequence[Clicked] = ()) -> None:
        """Show a figure; each of `clicked` gets the points of clicks on the trace of its number."""
        figure.update_layout(
            template=self._template(),
            width=self._width(figure),
            paper_bgcolor=_NONE,
            plot_bgcolor=_NONE,
        )
        if self.figure is None:
            self.figure = go.FigureWidget(figure)
            self.figure._config = {**CONFIG, "responsive": False}
        else:
            with self.figure.batch_update():
                self.figure.data = ()
                self.figure.add_traces(figure.data)
                self.figure.layout = figure.layout
                for left_over in ("annotations", "shapes"):
                    if not figure.layout[left_over]:
                        self.figure.layout[left_over] = ()
        for trace, told in zip(self.figure.data, clicked, strict=False):
            trace.on_click(lambda trace, points, state, told=told: told(points))
        self.widget.children = (self.figure,)

    def clear(self) -> None:
        """Show nothing."""
        self.widget.children = ()

    def _fit(self) -> None:
        if self.figure is not None:
            self.figure.update_layout(template=self._template(), width=self._width(self.figure))

    def _template(self) -> go.layout.Template:
        return TEMPLATES["dark" if self._around.dark else "light"]

    def _width(self, figure: go.Figure | go.FigureWidget) -> int:
        if not self._around.width:
            return _UNKNOWN
        meta = figure.layout.meta
        least = int(meta.get("min_width", 0)) if isinstance(meta, dict) else 0
        return max(min(int(self._around.width) - _AROUND, WIDEST), least)
