"""A row a behaviour, a panel a way of scoring."""

import pandas as pd
import pytest

from workbench.figures import draw_slopes

FRAME = pd.DataFrame(
    {
        "behaviour": ["<b>corrigible</b>", "<b>corrigible</b>", "myopic"],
        "scored": ["letter", "text", "text"],
        "slope": [0.5, 0.2, -0.1],
        "low": [0.3, 0.1, -0.2],
        "high": [0.7, 0.3, 0.1],
        "n": [50, 50, 50],
        "random_low": [-0.1, -0.05, -0.02],
        "random_high": [0.1, 0.05, 0.04],
    }
)


def test_a_panel_a_way_with_random_vectors_behind():
    figure = draw_slopes(FRAME)
    random, own, other_random, other = figure.data
    assert list(own.x) == [0.5]
    assert list(other.x) == [0.2, -0.1]
    assert list(other.y) == [0, 1]
    assert list(other.error_x.array) == pytest.approx([0.1, 0.2])
    assert list(random.x) == [-0.1, 0.1, None]
    assert list(other_random.y) == [0, 0, None, 1, 1, None]
    assert "50 held-out items" in str(figure.layout)
    assert "nats a token" in figure.layout.xaxis2.title.text
    assert not any("<b>" in text for text in [*figure.layout.yaxis.ticktext, *other.customdata])


def test_what_cannot_be_drawn_is_refused():
    with pytest.raises(ValueError, match=r"lacks the columns \['slope'\]"):
        draw_slopes(FRAME.drop(columns="slope"))
    with pytest.raises(ValueError, match="no slopes"):
        draw_slopes(FRAME.iloc[:0])
