"""Figures as widgets: Plotly goes to the page once, a figure as one message."""

import plotly.graph_objects as go
import pytest

pytest.importorskip("anywidget")

from workbench.explorer.chart import Chart
from workbench.explorer.plot import Library, Plot, library
from workbench.explorer.surroundings import Surroundings


def test_plotly_goes_to_the_page_once():
    assert library() is library()
    assert len(Library._esm) > 1e6 > len(Plot._esm)


def test_a_figure_is_one_message():
    chart = Chart(Surroundings())
    chart.show(go.Figure(go.Scatter(y=[1, 2])))
    sent = []
    chart.plot.observe(lambda change: sent.append(change["name"]))
    chart.show(go.Figure([go.Heatmap(z=[[1]]), go.Scatter(y=[3])]))
    assert sent == ["figure"]
    chart.show(go.Figure([go.Heatmap(z=[[1]]), go.Scatter(y=[3])]))
    assert sent == ["figure"], "the same again is not sent"


def test_clicks_go_to_the_trace_that_was_clicked():
    chart, told = Chart(Surroundings()), []
    chart.show(go.Figure(), [lambda point: told.append(point)])
    for trace in (0, 1):
        chart.plot._handle_custom_msg({"trace": trace, "point": [trace, 2]}, [])
    assert told == [[0, 2]]
