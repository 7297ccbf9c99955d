"""Probes: scikit-learn's regression in the stream's own units, and what they tell apart."""

import numpy as np
import pytest
import torch

from workbench.methods.linear_probe import linear_probe
from workbench.steering.activations import activations

pytest.importorskip("sklearn")

POSITIVE = [f"w{i} w{i + 1} w50" for i in range(8)]
NEGATIVE = [f"w{i} w{i + 1} w60" for i in range(8)]


def test_direction_and_threshold_decide_as_the_regression_does(tiny):
    (found,) = linear_probe(tiny, POSITIVE, NEGATIVE, layers=[2], regularization=0.5, folds=4)
    read = activations(tiny, [*POSITIVE, *NEGATIVE], layers=[2])[:, 0].double().numpy()
    size = (read - read.mean(0)).std()
    truth = [True] * 8 + [False] * 8
    from sklearn.linear_model import LogisticRegression

    plain = LogisticRegression(C=2.0, max_iter=2000).fit((read - read.mean(0)) / size, truth)
    decided = plain.decision_function((read - read.mean(0)) / size)
    ours = found.projections(torch.tensor(read)) - found.threshold
    scale = np.linalg.norm(plain.coef_[0]) / size
    assert (ours.numpy() * scale).tolist() == pytest.approx(decided.tolist(), rel=1e-3, abs=1e-3)
    assert ((ours > 0).tolist()) == truth
    assert found.accuracy > 0.9
    assert found.n == 16


def test_activations_that_are_known_are_not_read_again(tiny):
    read = activations(tiny, [*POSITIVE, *NEGATIVE], layers=[1, 2])
    given = linear_probe(tiny, POSITIVE, NEGATIVE, layers=[1, 2], read=read)
    for one, plain in zip(
        given, linear_probe(tiny, POSITIVE, NEGATIVE, layers=[1, 2]), strict=True
    ):
        torch.testing.assert_close(one.vector.values, plain.vector.values)
        assert (one.threshold, one.accuracy) == pytest.approx((plain.threshold, plain.accuracy))
    with pytest.raises(ValueError, match="16 prompts at 2 layers were given, for 16 prompts and 1"):
        linear_probe(tiny, POSITIVE, NEGATIVE, layers=[1], read=read)


def test_the_vector_spans_the_gap_between_the_sets(tiny):
    (found,) = linear_probe(tiny, POSITIVE, NEGATIVE, layers=[1], folds=2)
    read = activations(tiny, [*POSITIVE, *NEGATIVE], layers=[1])[:, 0]
    dots = found.projections(read)
    assert float(dots[:8].mean() - dots[8:].mean()) == pytest.approx(found.vector.norm, rel=1e-4)
    assert found.to_frame()["layer"].tolist() == [1]


def test_layers_where_all_prompts_are_alike_are_left_out(tiny):
    prompts = [[f"{text} w70 " for text in some] for some in (POSITIVE, NEGATIVE)]
    assert [probe.vector.layer for probe in linear_probe(tiny, *prompts)] == [1, 2, 3]


def test_labels_by_chance_are_not_learned(tiny):
    prompts = [f"w{i} w{70 - i}" for i in range(20)]
    (found,) = linear_probe(tiny, prompts[::2], prompts[1::2], layers=[2])
    assert found.accuracy < 0.8


@pytest.mark.parametrize(
    ("positive", "negative", "message"),
    [
        (POSITIVE, [], "a probe needs both"),
        (POSITIVE[:3], NEGATIVE, "at least 5 each"),
        (POSITIVE, [*NEGATIVE, POSITIVE[0]], "among the positive and the negative"),
        ([*POSITIVE, POSITIVE[0]], NEGATIVE, "is there twice"),
    ],
)
def test_sets_that_do_not_serve_are_refused(tiny, positive, negative, message):
    with pytest.raises(ValueError, match=message):
        linear_probe(tiny, positive, negative)
