"""The change is steered less unsteered, empty where there is no target."""

import numpy as np
import pytest

from tests.conftest import boot
from workbench.analysis import logit_lens
from workbench.figures import draw_lens_change
from workbench.methods import random_vector
from workbench.steering import Add, SteeringVector


@pytest.fixture(scope="module")
def lenses(tokenizers):
    import torch

    model = boot("llama", tokenizers)
    vector = random_vector(SteeringVector(torch.ones(32), 2), 0)
    return [
        logit_lens(model, "w1 w2 w3 ", "w4 w5", steering) for steering in ([], Add(vector, 2.0))
    ]


def test_values_and_gaps(lenses):
    figure = draw_lens_change(*lenses)
    z = np.array(figure.data[0].z, dtype=float)
    expected = lenses[1].log_prob - lenses[0].log_prob
    has = lenses[0].rank >= 0
    assert np.allclose(z[has], expected[has])
    assert np.isnan(z[~has]).all()
    assert not np.isnan(z).all()
    assert np.allclose(z[:2][has[:2]], 0)  # below the layer nothing changes
    assert figure.data[0].zmin == -figure.data[0].zmax
    assert "own next token" in figure.layout.meta["caption"]


def test_positions_may_be_left_out(lenses):
    figure = draw_lens_change(*lenses, first=2)
    assert len(figure.data[0].z[0]) == len(lenses[0].tokens) - 2


def test_what_does_not_fit_is_refused(lenses, tokenizers):
    other = logit_lens(boot("llama", tokenizers), "w1 w2 ", "w4 w5")
    with pytest.raises(ValueError, match="different texts"):
        draw_lens_change(lenses[0], other)
    with pytest.raises(ValueError, match="first must be"):
        draw_lens_change(*lenses, first=99)
    last = len(lenses[0].tokens) - 1
    with pytest.raises(ValueError, match="no position shown has a target"):
        draw_lens_change(*lenses, first=last)
