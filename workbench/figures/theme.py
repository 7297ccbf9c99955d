"""The house style: templates, colours, and the frame that every figure is finished with.

Importing this registers the Plotly templates "workbench_light" and "workbench_dark"; it does not
change Plotly's default. Draw functions return light figures; `themed(figure, "dark")` gives the
other. Colours set on traces are chosen to be told apart on both backgrounds and by colour-blind
readers; all else (ink, grid, paper) comes from the template, so a change of template suffices.
Plotly's renderers are left alone too: what a template cannot say, our figures say themselves when
a notebook shows them (`Figure`).
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any, Literal

import plotly.graph_objects as go
import plotly.io as pio

from workbench.figures.text import columns, plain, wrap

# Okabe & Ito's palette, moved a little by search: six colours that stay apart (CIELAB distance 18
# or more) for trichromats, deuteranopes, protanopes and tritanopes, on white and on near-black.
BLUE, VERMILLION, GREEN = "#206AA8", "#D45D00", "#019B69"
PURPLE, ORANGE, SKY = "#C87BA8", "#E69F00", "#4CB6F1"
GREY = "#7F8994"
PALETTE = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY)
DASHES = ("solid", "dash", "dot", "dashdot")

# A group keeps its colour and its marker in every figure; the marker carries the difference
# where the colour cannot.
GROUPS: dict[str, tuple[str, str]] = {
    "steered": (BLUE, "circle"),
    "negated": (VERMILLION, "triangle-left"),
    "control": (ORANGE, "diamond"),
    "unsteered": (GREY, "square"),
}

DIVERGING = "RdBu"  # red negative, blue positive; always with its midpoint at 0
POSITIVE, NEGATIVE = "#3E8EC4", "#D6604D"  # the same two hues as single colours
STEERED_BAND = "rgba(32, 106, 168, 0.22)"
BAND = "rgba(127, 137, 148, 0.20)"
LINE = "rgba(127, 137, 148, 0.90)"

FONT = "Inter, 'Helvetica Neue', Arial, 'Liberation Sans', sans-serif"
TITLE_SIZE, TEXT_SIZE, CAPTION_SIZE = 15, 12, 11
CAPTION_COLUMNS, TITLE_COLUMNS = 80, 50  # what fits in a figure 480 px wide
MARGIN = 14

CONFIG: dict[str, Any] = {
    "displaylogo": False,
    "showSendToCloud": False,
    "responsive": True,
    "modeBarButtonsToRemove": [
        "pan2d",
        "select2d",
        "lasso2d",
        "zoomIn2d",
        "zoomOut2d",
        "autoScale2d",
    ],
    "toImageButtonOptions": {"format": "png", "scale": 2},
}


def config(image: Literal["png", "svg"] = "png", filename: str = "figure") -> dict[str, Any]:
    """The house configuration for `to_html`, with the camera button's format and file name."""
    return {**CONFIG, "toImageButtonOptions": {"format": image, "scale": 2, "filename": filename}}


class Figure(go.Figure):
    """A Plotly figure that shows itself as `CONFIG` says: without Plotly's logo and share button.

    What users have set on a renderer themselves, or give to `show`, comes before it.
    """

    def show(self, renderer: str | None = None, **options: Any) -> None:
        """As Plotly's `show`, with the house configuration."""
        options["config"] = {**_shown_with(renderer), **(options.get("config") or {})}
        super().show(renderer, **options)

    def _ipython_display_(self) -> None:  # the last expression of a cell
        if pio.renderers.render_on_display and pio.renderers.default:
            self.show()
        else:
            super()._ipython_display_()

    def _repr_mimebundle_(self, *args: Any, **options: Any) -> dict[str, Any]:
        options["config"] = {**_shown_with(None), **(options.get("config") or {})}
        return super()._repr_mimebundle_(*args, **options)


def _shown_with(renderer: str | None) -> dict[str, Any]:
    """The house configuration under what is set on these renderers ("a+b"), or the default's."""
    names = (renderer or pio.renderers.default or "").split("+")
    own = [getattr(pio.renderers[name], "config", None) for name in names if name in pio.renderers]
    found = dict(CONFIG)
    for each in own:
        found.update(each or {})
    return found


def _template(paper: str, ink: str, muted: str, grid: str, hover: str) -> go.layout.Template:
    """One of the two templates; they differ in these five colours only."""
    axis = {
        "gridcolor": grid,
        "linecolor": grid,
        "tickcolor": grid,
        "zerolinecolor": muted,
        "zerolinewidth": 1,
        "ticks": "",
        "title": {"standoff": 8, "font": {"size": TEXT_SIZE}},
    }
    bar = {"outlinewidth": 0, "thickness": 10, "title": {"font": {"size": TEXT_SIZE}}}
    return go.layout.Template(
        layout={
            "paper_bgcolor": paper,
            "plot_bgcolor": paper,
            "font": {"family": FONT, "size": TEXT_SIZE, "color": ink},
            "title": {
                "font": {"size": TITLE_SIZE, "weight": 600},
                "x": 0,
                "xref": "container",
                "xanchor": "left",
                "y": 1,
                "yref": "container",
                "yanchor": "top",
                "pad": {"l": MARGIN, "t": MARGIN},
            },
            "margin": {"l": 60, "r": MARGIN + 6, "t": 50, "b": 60, "pad": 2, "autoexpand": False},
            "colorway": list(PALETTE),
            "colorscale": {"diverging": DIVERGING, "sequential": "Blues"},
            "coloraxis": {"colorbar": bar},
            "hoverlabel": {
                "align": "left",
                "namelength": -1,
                "bgcolor": hover,
                "bordercolor": muted,
                "font": {"family": FONT, "size": TEXT_SIZE, "color": ink},
            },
            "hovermode": "closest",
            "legend": {
                "orientation": "h",
                "x": 0,
                "xanchor": "left",
                "y": 1,
                "yanchor": "bottom",
                "title": {"text": ""},
                "tracegroupgap": 0,
                "bgcolor": "rgba(0, 0, 0, 0)",
            },
            # Here, not only in CONFIG: a notebook's own renderer does not read CONFIG.
            "modebar": {
                "bgcolor": "rgba(0, 0, 0, 0)",
                "color": muted,
                "activecolor": ink,
                "remove": ["sendDataToCloud", "sendChartToCloud"],
            },
            "annotationdefaults": {
                "showarrow": False,
                "font": {"size": CAPTION_SIZE, "color": muted},
            },
            "xaxis": axis,
            "yaxis": axis,
        },
        data={
            "heatmap": [{"colorbar": bar}],
            "bar": [{"marker": {"line": {"width": 0}, "colorbar": bar}}],
        },
    )


TEMPLATES = {
    "light": _template("#ffffff", "#1f2933", "#5b6672", "#e4e8ec", "#ffffff"),
    "dark": _template("#14181d", "#d9dfe6", "#9aa5b1", "#2c333b", "#1d232a"),
}
for _name, _made in TEMPLATES.items():
    pio.templates[f"workbench_{_name}"] = _made


def themed(figure: go.Figure, theme: Literal["light", "dark"]) -> go.Figure:
    """Copy a figure into the light or the dark template."""
    copy = Figure(figure)
    copy.layout.template = TEMPLATES[theme]
    return copy


def see_through(colour: str) -> str:
    """A colour of the palette as the fill of a band."""
    red, green, blue = (int(colour[k : k + 2], 16) for k in (1, 3, 5))
    return f"rgba({red}, {green}, {blue}, 0.18)"


def left_margin(labels: Sequence[str], title: bool = False) -> int:
    """The pixels that these (escaped) tick labels need left of the plot."""
    widest = max((columns(html.unescape(label)) for label in labels), default=0)
    return max(round(widest * TEXT_SIZE * 0.56) + 18, 46) + (20 if title else 0)


def named(names: Sequence[str]) -> dict[str, Any]:
    """An axis with a name (escaped) at each whole number, and no lines of its own."""
    return {
        "tickmode": "array",
        "tickvals": list(range(len(names))),
        "ticktext": list(names),
        "showgrid": False,
        "zeroline": False,
    }


def named_rows(names: Sequence[str]) -> dict[str, Any]:
    """The same for rows, the first at the top."""
    return {**named(names), "range": [len(names) - 0.5, -0.5]}


def _legend_rows(labels: Sequence[str], width: int) -> int:
    """How many rows Plotly sets these names in: all entries get the widest one's room."""
    widest = max(columns(html.unescape(label)) for label in labels) * TEXT_SIZE * 0.5 + 48
    return -(-len(labels) // max(1, int(width // widest)))


def finish(
    figure: go.Figure,
    *,
    title: str,
    caption: str,
    plot_height: int,
    left: int = 60,
    right: int = MARGIN + 6,
    below: int = 46,
    legend: Sequence[str] = (),
    min_width: int = 320,
) -> go.Figure:
    """Copy the figure with template, title, caption and size; all texts are plain text.

    The width stays free. Pixels: `plot_height` is the plot's own height, `left` and `right` its
    margins, `below` what tick labels and axis title take under it. `legend` lists the names that
    a legend above the plot shows; its rows are reckoned for half width. Title, caption and the
    width under which the figure should scroll rather than shrink are kept in `layout.meta`, so
    that a report can set the texts as text of the page (`without_frame`).
    """
    title_lines = [plain(line) for line in wrap(title, TITLE_COLUMNS)]
    caption_lines = [plain(line) for line in wrap(caption, CAPTION_COLUMNS)]
    title_height = 18 * len(title_lines) + MARGIN
    caption_height = 15 * len(caption_lines) + 8 if caption else 0
    legend_height = 20 * _legend_rows(legend, 480 - left - right) + 4 if legend else 0
    figure = Figure(figure)
    top, bottom = title_height + legend_height + 10, below + caption_height + 6
    figure.update_layout(
        template="workbench_light",
        title={"text": "<br>".join(title_lines)},
        showlegend=bool(legend),
        height=plot_height + top + bottom,
        margin={"l": left, "r": right, "t": top, "b": bottom},
        meta={
            "title": title,
            "caption": caption,
            "title_height": title_height,
            "caption_height": caption_height,
            "min_width": min_width,
        },
    )
    if caption:
        figure.add_annotation(
            name="caption",
            text="<br>".join(caption_lines),
            align="left",
            x=0,
            xref="paper",
            xanchor="left",
            xshift=MARGIN - left,
            y=0,
            yref="paper",
            yanchor="top",
            yshift=-below,
        )
    return figure


def without_frame(figure: go.Figure) -> tuple[go.Figure, str, str]:
    """Copy a figure without its title and caption, and give the two as plain text."""
    copy = Figure(figure)
    meta = copy.layout.meta if isinstance(copy.layout.meta, dict) else {}
    if not meta.get("title_height"):  # not one of ours: leave it whole
        return copy, "", ""
    copy.layout.annotations = [a for a in copy.layout.annotations if a.name != "caption"]
    copy.update_layout(
        title={"text": ""},
        meta={"min_width": meta["min_width"]},
        height=copy.layout.height - meta["title_height"] - meta["caption_height"],
        margin={
            "t": copy.layout.margin.t - meta["title_height"],
            "b": copy.layout.margin.b - meta["caption_height"],
        },
    )
    return copy, meta["title"], meta["caption"]
