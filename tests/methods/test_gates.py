"""Gates of each kind open for the prompts that they were made to open for."""

import sys

import numpy as np
import pytest
import torch

from workbench.methods import gates, linear_probe, mean_difference
from workbench.methods.gates import best_threshold
from workbench.steering.activations import activations

OPENING = [f"w{i} w50 w51 " for i in range(6)]
CLOSING = [f"w{i} w60 w61 " for i in range(6)]


@pytest.mark.parametrize("kind", ["projection", "cosine", "probe"])
def test_each_kind_tells_prompts_apart(tiny, kind):
    found = gates(tiny, OPENING, CLOSING, [1, 2], kind)
    assert [gate.layer for gate in found] == [1, 2]
    read = activations(tiny, [*OPENING, *CLOSING], layers=[1, 2])
    for i, gate in enumerate(found):
        opens = gate.condition.holds(read[:, i]).numpy()
        assert gate.accuracy == pytest.approx((opens[:6].mean() + (~opens[6:]).mean()) / 2)
        assert gate.accuracy > 0.9


def test_directions_are_those_of_their_methods(tiny):
    (expected,) = mean_difference(tiny, OPENING, CLOSING, layers=[2])
    for kind in ("projection", "cosine"):
        (gate,) = gates(tiny, OPENING, CLOSING, [2], kind)
        torch.testing.assert_close(gate.condition.vector.values, expected.values)
        assert gate.condition.measure == kind
    (probe,) = linear_probe(tiny, OPENING, CLOSING, layers=[2])
    (gate,) = gates(tiny, OPENING, CLOSING, [2], "probe")
    torch.testing.assert_close(gate.condition.vector.values, probe.vector.values)
    assert gate.condition.threshold == probe.threshold


def test_several_kinds_are_learnt_from_one_reading(tiny, monkeypatch):
    read = []

    def reading(*asked, **how):
        read.append(asked)
        return activations(*asked, **how)

    monkeypatch.setattr(sys.modules[gates.__module__], "activations", reading)
    with monkeypatch.context() as patch:
        patch.setattr(sys.modules[mean_difference.__module__], "moments", None)
        patch.setattr(sys.modules[linear_probe.__module__], "activations", None)
        found = gates(tiny, OPENING, CLOSING, [1, 2], ["cosine", "probe"])
    assert [asked[1] for asked in read] == [OPENING, CLOSING]
    assert [(gate.kind, gate.layer) for gate in found] == [
        ("cosine", 1),
        ("cosine", 2),
        ("probe", 1),
        ("probe", 2),
    ]
    for gate in found:
        (alone,) = gates(tiny, OPENING, CLOSING, [gate.layer], gate.kind)
        assert gate.condition.threshold == pytest.approx(float(alone.condition.threshold))
        assert gate.accuracy == alone.accuracy


@pytest.mark.parametrize(("share", "opens"), [(1, 0), (0.75, 1), (0.5, 2), (0.1, 3)])
def test_a_gate_is_shut_for_a_share_of_prompts(tiny, share, opens):
    (gate,) = gates(tiny, OPENING, CLOSING, [2], "cosine")
    resid = activations(tiny, CLOSING[:4], layers=[2])[:, 0]
    condition = gate.shut_for(resid, share)
    assert int(condition.holds(resid).sum()) == opens
    assert condition.measure == "cosine"
    assert condition.vector is gate.condition.vector
    with pytest.raises(ValueError, match="at least one prompt"):
        gate.shut_for(resid[:0], share)
    with pytest.raises(ValueError, match="a share over 0"):
        gate.shut_for(resid, 0.0)


def test_the_threshold_tells_apart_best():
    assert best_threshold(np.array([3.0, 4.0]), np.array([0.0, 1.0])) == (2.0, 1.0)
    threshold, accuracy = best_threshold(np.array([1.0, 3.0, 4.0]), np.array([0.0, 2.0]))
    assert accuracy == pytest.approx((2 / 3 + 1) / 2)
    assert 2 < threshold < 3
    assert best_threshold(np.array([1.0]), np.array([1.0]))[1] == 0.5


def test_what_cannot_be_learnt_from_is_refused(tiny):
    with pytest.raises(ValueError, match="none may be 0"):
        gates(tiny, OPENING, [], [1])
    with pytest.raises(ValueError, match="at least 5 each"):
        gates(tiny, OPENING[:2], CLOSING, [1], "probe")
    with pytest.raises(ValueError, match="0 kinds"):
        gates(tiny, OPENING, CLOSING, [1], [])
