"""Vectors as classifiers: dot products, and an AUC that scikit-learn's own definition gives."""

import pytest
import torch

import workbench as wb
from workbench.evaluation.separation import separation
from workbench.methods import mean_difference
from workbench.steering.activations import activations

pytest.importorskip("sklearn")
POSITIVE, NEGATIVE = [f"w1 w{i}" for i in range(2, 8)], [f"w9 w{i}" for i in range(2, 7)]


def test_auc_is_the_share_of_pairs_in_the_right_order(tiny):
    vector = wb.SteeringVector(torch.arange(tiny.cfg.d_model).float(), layer=1)
    found = separation(tiny, [vector], POSITIVE, NEGATIVE)
    unit = vector.values / vector.norm
    above, below = (
        activations(tiny, some, layers=[1])[:, 0] @ unit for some in (POSITIVE, NEGATIVE)
    )
    pairs = (above[:, None] > below[None]).float().mean()
    assert found.auc[0] == pytest.approx(float(pairs))
    assert found.low[0] <= found.auc[0] <= found.high[0]
    torch.testing.assert_close(torch.from_numpy(found.positive[0]), above)


def test_the_difference_of_means_points_from_one_of_its_sets_to_the_other(tiny):
    vectors = mean_difference(tiny, POSITIVE, NEGATIVE, layers=[1, 3]).vectors
    found = separation(tiny, vectors, POSITIVE, NEGATIVE)
    gaps = found.positive.mean(-1) - found.negative.mean(-1)
    assert gaps == pytest.approx([vector.norm for vector in vectors], rel=1e-3)
    assert min(found.auc) > 0.5
    assert list(found.to_frame()["layer"]) == [1, 3]
    elsewhere = separation(tiny, vectors, POSITIVE, NEGATIVE, layer=2)
    assert elsewhere.layers == (2, 2)


def test_missing_prompts_are_refused(tiny):
    with pytest.raises(ValueError, match="none may be 0"):
        separation(tiny, [], POSITIVE, NEGATIVE)


def test_a_vector_without_a_direction_is_refused(tiny):
    still = wb.SteeringVector(torch.zeros(tiny.cfg.d_model), 1, label="still")
    with pytest.raises(ValueError, match=r"still.* is zero"):
        separation(tiny, [still], POSITIVE, NEGATIVE)
