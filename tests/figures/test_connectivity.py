"""The map has a gap on its diagonal; paths with a barrier stand out."""

import numpy as np

from workbench.analysis.connectivity import Connectivity
from workbench.figures import draw_connectivity, draw_paths


def found():
    losses = np.ones((3, 3, 5))
    losses[0, 1] = [1, 2, 3, 4, 5]
    losses[1, 0] = [1, 2, 6, 4, 5]
    return Connectivity(("a", "b", "b"), np.linspace(0, 1, 5), losses)


def test_the_map_shows_barriers():
    (heat,) = draw_connectivity(found()).data
    assert np.isnan(np.diag(np.array(heat.z, float))).all()
    assert heat.z[1][0] == 1
    assert heat.z[0][1] == 0
    assert heat.zmax == 1
    figure = draw_connectivity(found())
    assert len(set(figure.layout.yaxis.ticktext)) == 3
    assert "83.3% of 6 ordered pairs" in str(figure.layout)


def test_paths_are_lines_with_gaps_between():
    connected, barrier, median = draw_paths(found()).data
    assert (connected.name, barrier.name, median.name) == ("connected", "with a barrier", "median")
    assert len(barrier.x) == 6
    assert barrier.y[-1] is None
    assert list(median.y) == [1, 1, 1, 1, 1]
