"""Every vector has a mark in each way and group; groups keep their places."""

import pandas as pd
import pytest

from workbench.evaluation import Flips
from workbench.figures import draw_flips

FLIPS = Flips(
    ("good", "good", "poor"),
    (0, 0, 1),
    {"+v": (1, 0, 1), "-v": (0, 0, 0)},
    {"+v": (1, 0, 1), "-v": (0, None, 0)},
)


def test_marks_are_the_rates():
    figure = draw_flips({"one <b>": FLIPS.to_frame(), "random": FLIPS.to_frame()})
    flipped = [trace for trace in figure.data if trace.yaxis == "y"]
    assert [list(trace.y) for trace in flipped] == [[0.5, 0.0, 0.0, 1.0]] * 2
    neither = [trace for trace in figure.data if trace.yaxis == "y2"]
    assert list(neither[0].y) == [0.0, 0.0, 0.5, 0.0]
    assert [round(x) for x in flipped[0].x] == [0, 1, 2, 3]
    assert flipped[0].x[0] < flipped[1].x[0]
    assert "one <b>" not in str(figure.to_dict())
    assert len(set(figure.layout.xaxis.ticktext)) == 4
    assert "1 to 2 decisions each" in figure.layout.meta["caption"]


def test_kinds_are_named_once():
    kinds = {"a": "steered", "b": "control", "c": "control"}
    figure = draw_flips(dict.fromkeys(kinds, FLIPS.to_frame()), kinds=kinds)
    assert [t.name for t in figure.data if t.showlegend] == ["steered", "control"]


def test_what_lacks_is_named():
    with pytest.raises(ValueError, match="no vectors"):
        draw_flips({})
    with pytest.raises(ValueError, match="lacks the columns"):
        draw_flips({"a": pd.DataFrame({"way": ["+v"]})})
