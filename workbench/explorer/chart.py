"""A place for figures in the panel, which fit its width and its theme, and take clicks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import ipywidgets as ipw
import plotly.graph_objects as go

from workbench.explorer.plot import Plot
from workbench.explorer.surroundings import Surroundings
from workbench.figures.theme import CONFIG, TEMPLATES

Clicked = Callable[[Any], None]  # gets a point's number, or the row and the column of a cell

WIDEST = 1000  # pixels; a wider figure is not easier to read
_AROUND = 44  # pixels that the panel's frames take of its width
_NONE = "rgba(0, 0, 0, 0)"  # the page's own background
_UNKNOWN = 700  # Plotly's own width, until the page has said how wide it is


class Chart:
    """Shows one `figure` at a time; `widget` is what stands in the page."""

    def __init__(self, surroundings: Surroundings, hint: str = ""):
        self._around = surroundings
        self._hint = ipw.HTML(f"<i>{hint}</i>" if hint else "")
        self.widget = ipw.VBox([self._hint], layout=ipw.Layout(overflow="auto"))
        self.figure: go.Figure | None = None
        self.plot: Plot | None = None
        self._clicked: Sequence[Clicked] = ()
        surroundings.observe(lambda change: self._send(), ["dark", "width"])

    def show(self, figure: go.Figure, clicked: Sequence[Clicked] = ()) -> None:
        """Show a figure; each of `clicked` gets the points of clicks on the trace of its number."""
        self.figure, self._clicked = figure, clicked
        if self.plot is None:
            self.plot = Plot(config={**CONFIG, "responsive": False})
            self.plot.on_msg(lambda plot, said, buffers: self._heard(said))
        self._send()
        self.widget.children = (self.plot,)

    def clear(self) -> None:
        """Show nothing."""
        self.figure, self.widget.children = None, ()

    def _send(self) -> None:
        if (figure := self.figure) is None or self.plot is None:
            return
        figure.update_layout(
            template=TEMPLATES["dark" if self._around.dark else "light"],
            width=self._width(figure),
            paper_bgcolor=_NONE,
            plot_bgcolor=_NONE,
        )
        self.plot.figure = figure.to_json(validate=False).encode()

    def _heard(self, said: Any) -> None:
        if said["trace"] < len(self._clicked):
            self._clicked[said["trace"]](said["point"])

    def _width(self, figure: go.Figure) -> int:
        if not self._around.width:
            return _UNKNOWN
        meta = figure.layout.meta
        least = int(meta.get("min_width", 0)) if isinstance(meta, dict) else 0
        return max(min(int(self._around.width) - _AROUND, WIDEST), least)
