"""Every value is drawn, missing ones are counted, and empty groups stay rows."""

import math

import pytest

from workbench.figures import draw_distributions

GROUPS = {"<b>steered</b>": [1.0, 2.0, 2.5, math.nan], "unsteered": [0.5, 0.6], "none": [None]}


@pytest.fixture
def figure():
    return draw_distributions(GROUPS, measure="nats a token", title="Surprisal")


def test_every_value_is_a_mark_and_the_median_a_bar(figure):
    marks = [trace for trace in figure.data if trace.mode == "markers"]
    assert [sorted(trace.x) for trace in marks] == [[1.0, 2.0, 2.5], [0.5, 0.6]]
    bars = [trace for trace in figure.data if "median" in (trace.hovertemplate or "")]
    assert [trace.x[0] for trace in bars] == [2.0, 0.55]
    assert all(len(trace.x) == len(trace.y) > 0 for trace in figure.data)


def test_missing_values_are_counted_and_no_group_is_lost(figure):
    assert "2 values are missing" in figure.layout.meta["caption"]
    names = figure.layout.yaxis.ticktext
    assert len(set(names)) == 3
    assert [name.split("<br>")[1] for name in names] == ["n = 3", "n = 2", "n = 0"]
    assert "<b>steered" not in str(figure.to_dict())


def test_equal_values_have_no_density_but_are_drawn():
    figure = draw_distributions({"a": [2.0, 2.0]}, measure="x", title="t")
    assert [trace.mode for trace in figure.data] == ["markers", "lines"]


def test_many_values_are_thinned():
    figure = draw_distributions({"a": list(range(2000))}, measure="x", title="t")
    (marks,) = (trace for trace in figure.data if trace.mode == "markers")
    assert len(marks.x) == 400
    assert "400 of 2000 values" in figure.layout.meta["caption"]


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="no groups"):
        draw_distributions({}, measure="x", title="t")
    with pytest.raises(ValueError, match="1 texts for 2 values"):
        draw_distributions({"a": [1, 2]}, measure="x", title="t", texts={"a": ["one"]})
