"""A Plotly figure as a widget: one message a figure, drawn once, and told of clicks.

Plotly's own `FigureWidget` is not used here. Its views go on listening after they have left the
page, where the next change of the figure ends in an error; each of them brings Plotly's five
megabytes along; and another figure in place of the first is drawn three times over (its traces are
taken away, the new ones added, then the layout changed), each time also read back to the kernel.
"""

from __future__ import annotations

from functools import cache

import anywidget
import traitlets
from plotly.offline import get_plotlyjs

# Where a page keeps Plotly: whoever comes first makes the promise, the library keeps it.
_SHELF = """
function shelf() {
  const held = (globalThis.steeringWorkbenchPlotly ??= {});
  held.plotly ??= new Promise((give) => { held.give = give; });
  return held;
}
"""
# Plotly finds a `module` of its own, as in Node; a page's other Plotly stays where it is.
_LIBRARY = f"""
{_SHELF}
const module = {{ exports: {{}} }}, other = window.Plotly;
{get_plotlyjs()}
if (other) window.Plotly = other;
export default {{ initialize() {{ shelf().give(module.exports); }} }};
"""
_FIGURE = f"""
{_SHELF}
function render({{ model, el }}) {{
  let stale = true, gone = false, listens = false, plotly, last = Promise.resolve();
  const draw = async () => {{
    // What is hidden is drawn when it is seen: text has no size before.
    if (gone || !stale || !el.clientWidth || !model.get("figure").byteLength) return;
    plotly ??= await shelf().plotly;
    if (gone) return;
    stale = false;
    const {{ data, layout }} = JSON.parse(new TextDecoder().decode(model.get("figure")));
    await plotly.react(el, data, layout, model.get("config"));
    el.setAttribute("role", "figure");
    el.setAttribute("aria-label", layout.meta?.title ?? "");
    if (listens) return;
    listens = true;
    el.on("plotly_click", ({{ points }}) => {{
      const [{{ curveNumber, pointNumber }}] = points;
      model.send({{ trace: curveNumber, point: pointNumber }});
    }});
  }};
  const soon = () => {{ last = last.then(draw).catch((error) => console.error(error)); }};
  const changed = () => {{ stale = true; soon(); }};
  model.on("change:figure", changed);
  const seen = new ResizeObserver(soon);
  seen.observe(el);
  return () => {{
    gone = true;
    model.off("change:figure", changed);
    seen.disconnect();
    plotly?.purge(el);
  }};
}}
export default {{ render }};
"""


class Library(anywidget.AnyWidget):
    """Plotly's JavaScript, for all figures of a page."""

    _esm = _LIBRARY


class Plot(anywidget.AnyWidget):
    """A figure as JSON (`data`, `layout`). `on_msg` is told of clicks: {"trace", "point"}.

    A point is a number, or a row and a column. Between two drawings only the newest figure counts.
    """

    _esm = _FIGURE
    figure = traitlets.Bytes(b"").tag(sync=True)
    config = traitlets.Dict().tag(sync=True)

    def __init__(self, **state: object):
        library()
        super().__init__(**state)


@cache
def library() -> Library:
    """The one of this kernel, sent with its first figure."""
    return Library()
