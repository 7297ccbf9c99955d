"""What holds for every figure: data in each trace, labels that differ, colours about zero."""

import json
from collections import Counter

import numpy as np
import plotly.graph_objects as go
import pytest

from tests.figures.examples import EXAMPLES, lens
from workbench import figures
from workbench.analysis.connectivity import Connectivity
from workbench.analysis.heads import IndirectEffects
from workbench.analysis.position_map import PositionMap
from workbench.figures import theme, themed

NAN = float("nan")
RED_TO_BLUE = go.Heatmap(colorscale=theme.DIVERGING).colorscale


@pytest.fixture(params=sorted(EXAMPLES), scope="module")
def figure(request):
    return EXAMPLES[request.param](getattr(figures, request.param))


def test_no_draw_function_is_forgotten():
    assert set(EXAMPLES) == {name for name in figures.__all__ if name.startswith("draw_")}


def test_every_trace_has_data(figure):
    assert figure.data
    for trace in figure.data:
        if trace.type == "heatmap":
            assert np.shape(trace.z) == (len(trace.y), len(trace.x))
            values = np.array(trace.z, float)
        else:
            assert len(trace.x) == len(trace.y) > 0
            values = np.array([trace.x, trace.y], float)
        assert np.isfinite(values).any()
        for given in (trace.customdata, getattr(trace, "text", None)):
            assert given is None or isinstance(given, str) or len(given) == len(trace.y)


def test_labels_are_unique(figure):
    shown = [trace.name for trace in figure.data if trace.showlegend is not False and trace.name]
    if figure.layout.showlegend:
        assert not [name for name, count in Counter(shown).items() if count > 1]
    for axis in (*figure.select_xaxes(), *figure.select_yaxes()):
        if axis.ticktext is not None:
            assert len(set(axis.ticktext)) == len(axis.ticktext) == len(axis.tickvals)


def coloured(figure):
    """Each colour scale with its least, middle and greatest value."""
    for trace in figure.data:
        if trace.type == "heatmap":
            yield trace.colorscale, trace.zmin, trace.zmid, trace.zmax
        elif trace.marker.colorscale is not None:
            yield trace.marker.colorscale, trace.marker.cmin, None, trace.marker.cmax


def test_colours_are_symmetric_where_they_diverge(figure):
    for scale, least, middle, most in coloured(figure):
        assert None not in (least, most)
        assert least < most
        if scale == RED_TO_BLUE:
            assert least == -most
            assert middle in (0, None)
        else:
            assert least == 0


def test_what_is_missing_stays_missing(figure):
    """Plotly draws a gap for null and NaN; a hover or label must not speak of it as a number."""
    for trace in figure.data:
        if trace.type == "heatmap":
            assert trace.hoverongaps is False or np.isfinite(np.array(trace.z, float)).all()
        else:
            assert not getattr(trace, "connectgaps", False)
    words = [
        text
        for trace in figure.data
        for given in (trace.customdata, getattr(trace, "text", None), [trace.hovertemplate])
        if given is not None and not isinstance(given, str)
        for text in np.ravel(np.array(given, dtype=object))
        if isinstance(text, str)
    ]
    notes = [note.text for note in figure.layout.annotations]
    assert not [text for text in [*words, *notes] if "nan" in text.lower().replace("tenant", "")]


@pytest.mark.parametrize(
    ("name", "missing"),
    [
        ("draw_connectivity", 3),
        ("draw_indirect_effects", 1),
        ("draw_lens_change", 3),
        ("draw_position_map", 1),
    ],
)
def test_missing_cells_are_gaps(name, missing):
    figure = EXAMPLES[name](getattr(figures, name))
    z = json.loads(figure.to_json())["data"][0]["z"]
    if isinstance(z, dict):  # plotly packs arrays of numbers, NaN as NaN
        z = np.array(figure.data[0].z, float).tolist()
    flat = [value for row in z for value in row]
    assert sum(value is None or value != value for value in flat) == missing


def test_it_says_what_it_shows_and_of_how_many(figure):
    meta = figure.layout.meta
    assert meta["title"]
    assert any(character.isdigit() for character in meta["caption"])
    named = [
        axis.title.text
        for axes in (figure.select_xaxes(), figure.select_yaxes())
        for axis in axes
        if axis.visible is not False and not axis.ticktext and axis.showticklabels is not False
    ]
    if "xaxis6" in figure.layout:  # a dashboard: its panels have titles
        named = [note.text for note in figure.layout.annotations]
    assert all(named), named
    assert figure.layout.width is None
    assert len(meta["title"].splitlines()) == 1


def test_it_is_of_the_house_in_both_themes(figure):
    light, dark = (themed(figure, name).layout for name in ("light", "dark"))
    assert light.template.layout.paper_bgcolor != dark.template.layout.paper_bgcolor
    for layout in (figure.layout, light, dark):
        assert layout.paper_bgcolor is None
        assert layout.plot_bgcolor is None
        assert layout.font.color is None
    drawn = figure.to_dict()
    del drawn["layout"]["meta"]  # as it was given: a page escapes it
    assert not [mark for mark in ("<b>", "<i>") if mark in str(drawn)]


@pytest.mark.parametrize(
    "draw",
    [
        lambda: figures.draw_logit_lens(lens(60, 200, hits=199)),
        lambda: figures.draw_lens_change(lens(60, 200), lens(60, 200, -1.0)),
        lambda: figures.draw_connectivity(
            Connectivity(("v",) * 200, np.linspace(0, 1, 3), np.ones((200, 200, 3)))
        ),
        lambda: figures.draw_paths(
            Connectivity(("v",) * 200, np.linspace(0, 1, 3), np.ones((200, 200, 3)))
        ),
        lambda: figures.draw_position_map(
            PositionMap(
                ("w",) * 200,
                190,
                tuple(range(200)),
                np.ones((200, 200)),
                np.ones((200, 200)),
                np.ones(200),
                -9.0,
            )
        ),
        lambda: figures.draw_indirect_effects(
            IndirectEffects(
                tuple(range(200)), 199, np.ones((1, 200, 200)), np.ones((1, 200, 200)), np.ones(1)
            )
        ),
        lambda: figures.draw_token_strip(["token"] * 2000, [1.0] * 2000),
    ],
    ids=["lens", "lens change", "connectivity", "paths", "positions", "heads", "strip"],
)
def test_large_ones_have_few_parts_and_few_ticks(draw):
    """What makes a page slow is the number of traces, shapes and notes, not of cells."""
    figure = draw()
    parts = len(figure.data) + len(figure.layout.shapes) + len(figure.layout.annotations)
    assert parts < 10
    for axis in (*figure.select_xaxes(), *figure.select_yaxes()):
        assert len(axis.tickvals or ()) <= 40
