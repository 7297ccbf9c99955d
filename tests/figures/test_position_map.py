"""The map is symmetric about zero and its tick labels are unique."""

import numpy as np
import pytest

from workbench.analysis.position_map import PositionMap
from workbench.figures import draw_position_map


def found():
    alone = np.array([[0.5, -2.0, 0.0], [0.1, 0.2, 0.0]])
    return PositionMap(("w1", "w1", "<b>"), 2, (4, 5), alone, -alone, np.array([1.0, 2.0]), -9.0)


@pytest.mark.parametrize(("which", "sign"), [("alone", 1), ("without", -1)])
def test_cells(which, sign):
    figure = draw_position_map(found(), which)
    (heat,) = figure.data
    assert (heat.zmin, heat.zmax) == (-2, 2)
    assert heat.z[0][1] == -2 * sign
    labels = figure.layout.xaxis.ticktext
    assert len(set(labels)) == 3
    assert not any("<b>" in label for label in labels)


def test_many_positions_do_not_crowd_the_ticks():
    n = 100
    values = np.ones((2, n))
    many = PositionMap(("w",) * n, 90, (4, 5), values, values, np.ones(2), -9.0)
    axis = draw_position_map(many).layout.xaxis
    assert len(axis.tickvals) == len(axis.ticktext) <= 25
    assert axis.range == (-0.5, n - 0.5)
    assert "\N{MINUS SIGN}9.0 nats" in draw_position_map(many).layout.meta["caption"]
