"""Signed values are drawn symmetric about zero."""

import numpy as np

from workbench.figures.heatmap import signed_heatmap


def test_colours_are_symmetric_and_gaps_stay_gaps():
    trace = signed_heatmap(np.array([[0.5, -3.0], [np.nan, 1.0]]), [["a", "b"], ["c", "d"]], "nats")
    assert (trace.zmin, trace.zmid, trace.zmax) == (-3, 0, 3)
    assert np.isnan(trace.z[1][0])
    assert "nats" in trace.hovertemplate
    assert signed_heatmap(np.zeros((1, 1)), [["a"]], "nats").zmax == 1
