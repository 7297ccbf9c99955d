"""A vector's parts are what they say, and their success is compared request by request."""

import numpy as np
import pytest
import torch

from workbench.analysis.mediation import ALONE, PARTS, WHOLE, WITHOUT, mediate, parts_of
from workbench.analysis.refusal_outcomes import RefusalOutcomes
from workbench.evaluation.attack import Attack
from workbench.methods import random_vectors
from workbench.steering import Add, SteeringVector

DIRECTION = SteeringVector(torch.tensor([0.0, 2.0, 0.0]), 1, label="direction")


def judged(made, part):
    """Answers whose success is given by what is added: by its first two values."""
    wins = int(made.values[1] > 0) + int(made.values[0] > 0) * 2
    refuses = tuple(i >= wins for i in range(4))
    ones = (1.0,) * 4
    return Attack(("a", "b", "a", "d"), ("x",) * 4, refuses, ones, ones, 2.0, 0.6).to_frame()


def test_parts_are_orthogonal_and_of_equal_norm():
    vector = SteeringVector(torch.tensor([3.0, 4.0, 0.0]), 1, label="v")
    parts = parts_of(vector, DIRECTION)
    assert list(parts) == list(PARTS)
    torch.testing.assert_close(parts[WITHOUT].values, torch.tensor([5.0, 0.0, 0.0]))
    torch.testing.assert_close(parts[ALONE].values, torch.tensor([0.0, 5.0, 0.0]))
    assert parts[WHOLE] is vector
    assert parts[ALONE].layer == 1


@pytest.mark.parametrize(("values", "left"), [([1.0, 0, 0], WITHOUT), ([0, -1.0, 0], ALONE)])
def test_a_part_that_is_not_there_is_left_out(values, left):
    parts = parts_of(SteeringVector(torch.tensor(values), 1, label="v"), DIRECTION)
    assert list(parts) == [WHOLE, left]
    torch.testing.assert_close(parts[left].values, torch.tensor(values))


def test_what_is_lost_is_paired_over_the_same_vectors():
    vectors = [
        SteeringVector(torch.tensor(values), 1, label=f"v{i}")
        for i, values in enumerate([[1.0, 1.0, 0], [1.0, -1.0, 0], [1.0, 0.0, 0]])
    ]
    found = mediate(judged, vectors, DIRECTION)
    frame = found.to_frame().set_index(["vector", "part"])["success"]
    assert frame["v0"].to_dict() == {WHOLE: 0.75, WITHOUT: 0.5, ALONE: 0.25}
    assert frame["v1"].to_dict() == {WHOLE: 0.5, WITHOUT: 0.5, ALONE: 0.0}
    assert ALONE not in frame["v2"]
    assert found.mean(WHOLE).mean == pytest.approx(0.625)  # of the two that have every part
    lost = found.lost(ALONE)
    assert (lost.mean, lost.n_vectors, lost.n_prompts) == (pytest.approx(0.5), 2, 4)
    assert lost.low <= lost.mean <= lost.high
    assert found.cosines["v0"] == pytest.approx(np.sqrt(0.5))


def test_of_one_vector_there_is_no_interval():
    vector = SteeringVector(torch.tensor([1.0, 1.0, 0]), 1, label="v")
    found = mediate(judged, [vector], DIRECTION)
    assert found.to_frame()["success"].tolist() == [0.75, 0.5, 0.25]
    assert found.mean(WHOLE) is None
    assert found.lost(ALONE) is None


def test_it_asks_a_model(tiny):
    outcomes = RefusalOutcomes.of(tiny, tiny, ["w1", "w2"], ["w3"], "{} ".format)
    like = SteeringVector(torch.ones(tiny.cfg.d_model), 1, label="like")
    vectors = list(random_vectors(like, 2))
    found = mediate(lambda made, part: outcomes.attack(Add(made)).to_frame(), vectors, like)
    assert set(found.to_frame()["n"]) == {2}
    assert found.mean(WHOLE).n_vectors == 2


def test_what_does_not_fit_is_refused():
    vector = SteeringVector(torch.ones(3), 1, label="v")
    with pytest.raises(ValueError, match="labels of their own"):
        mediate(judged, [vector, vector], DIRECTION)
    with pytest.raises(ValueError, match="not all zero"):
        parts_of(vector, DIRECTION * 0.0)
