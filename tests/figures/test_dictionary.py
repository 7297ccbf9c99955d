"""Features are bars by sign, nearest first."""

import numpy as np

from workbench.analysis.dictionary import DictionaryMatch
from workbench.figures import draw_dictionary


def test_bars_are_the_cosines():
    match = DictionaryMatch(
        "<i>v</i>",
        np.array([7, 3, 9]),
        np.array([0.8, -0.5, 0.2]),
        0.3,
        np.array([7, 3]),
        np.array([1.0, -0.4]),
        np.array([0.6, 0.9]),
    )
    figure = draw_dictionary(match)
    along, against = figure.data
    assert (list(along.x), list(along.y)) == ([0.8, 0.2], [0, 2])
    assert (list(against.x), list(against.y)) == ([-0.5], [1])
    assert list(figure.layout.yaxis.ticktext) == ["feature 7", "feature 3", "feature 9"]
    named = draw_dictionary(match, names={3: "<b>dog"})
    assert list(named.layout.yaxis.ticktext) == ["feature 7", "&lt;b&gt;dog", "feature 9"]
    assert "dog (3)" in named.data[1].customdata[0]
    low, high = figure.layout.xaxis.range
    assert low == -high
    assert "explain 90%" in figure.layout.meta["caption"]
    assert "&lt;i&gt;v" in figure.layout.title.text
