"""Maps of heads are symmetric about zero."""

import numpy as np
import pytest

from tests.figures.test_attribution import frame
from workbench.analysis.heads import IndirectEffects
from workbench.figures import draw_head_map, draw_indirect_effects


def test_the_head_map():
    figure = draw_head_map(frame())
    (trace,) = figure.data
    assert trace.zmin == -trace.zmax
    assert trace.zmid == 0
    assert np.shape(trace.z) == (4, 2)
    assert trace.z[1][1] == pytest.approx(-0.5)
    with pytest.raises(ValueError, match="no attention heads"):
        draw_head_map(frame().iloc[:1])


@pytest.mark.parametrize("which", ["enough", "needed"])
def test_patches_have_a_row_for_the_mlp(which):
    values = np.arange(2 * 3 * 5.0).reshape(2, 3, 5)
    found = IndirectEffects((4, 5, 6), 4, values, -values, np.array([1.0, 3.0]))
    (trace,) = draw_indirect_effects(found, which).data
    sign = 1 if which == "enough" else -1
    assert np.array(trace.z)[4, 2] == sign * values[:, 2, 4].mean()
    figure = draw_indirect_effects(found, which)
    assert figure.layout.yaxis.ticktext[-1] == "MLP"
    assert "+2.00 logits" in str(figure.layout)
