"""Correlations are drawn where they are, with their intervals."""

import pandas as pd
import pytest

from workbench.figures import draw_correlations

FRAME = pd.DataFrame(
    {
        "predictor": ["loss", "<b>norm</b>"],
        "rho": [-0.5, 0.25],
        "low": [-0.8, -0.2],
        "high": [-0.1, 0.6],
        "n": [24, 24],
    }
)


def test_a_row_a_predictor_on_one_axis():
    figure = draw_correlations(FRAME)
    (trace,) = figure.data
    assert list(trace.x) == [-0.5, 0.25]
    assert list(trace.error_x.array) == pytest.approx([0.4, 0.35])
    assert list(trace.error_x.arrayminus) == pytest.approx([0.3, 0.45])
    assert figure.layout.xaxis.range == (-1.05, 1.05)
    assert not any("<b>" in text for text in [*figure.layout.yaxis.ticktext, *trace.customdata])
    assert "24 vectors" in str(figure.layout)


def test_what_cannot_be_drawn_is_refused():
    with pytest.raises(ValueError, match=r"lacks the columns \['rho'\]"):
        draw_correlations(FRAME.drop(columns="rho"))
    with pytest.raises(ValueError, match="no correlations"):
        draw_correlations(FRAME.iloc[:0])
