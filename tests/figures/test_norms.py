"""Shares of the stream's norm, with the interval that the stream's mean gives them."""

import pytest

from workbench.evaluation import RelativeNorms
from workbench.figures import draw_norms


def test_marks_are_the_shares():
    found = RelativeNorms(
        ("<b>a", "b"), (1, 2), (5.0, 20.0), (10.0, 10.0), (8.0, 9.0), (12.0, 11.0), 6
    )
    figure = draw_norms(found)
    (marks,) = figure.data
    assert list(marks.x) == [0.5, 2.0]
    assert marks.x[0] + marks.error_x.array[0] == pytest.approx(5 / 8)
    assert marks.x[0] - marks.error_x.arrayminus[0] == pytest.approx(5 / 12)
    assert list(figure.layout.yaxis.ticktext) == ["&lt;b&gt;a", "b"]
    assert len(figure.layout.shapes) == 1  # as long as the stream
    short = draw_norms(RelativeNorms(("a",), (1,), (1.0,), (10.0,), (9.0,), (11.0,), 6))
    assert not short.layout.shapes
    assert "Dotted" not in short.layout.meta["caption"]
    assert "over 6 prompts" in figure.layout.meta["caption"]
