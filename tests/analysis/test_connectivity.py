"""Paths between vectors: which points, whose loss, and what counts as connected."""

import numpy as np
import pytest
import torch

import workbench as wb
from workbench.analysis.connectivity import Connectivity, connectivity

EXAMPLES = [wb.Example("w1 w2 ", suppress=["w3 w4"]), wb.Example("w5 ", suppress=["w6"])]


def vectors(*sizes):
    generator = torch.Generator().manual_seed(3)
    return [
        wb.SteeringVector(torch.randn(32, generator=generator) * size, 1, label=f"v{i}")
        for i, size in enumerate(sizes)
    ]


@pytest.mark.parametrize("norm", ["first", "interpolated"])
def test_losses_are_of_the_first_vectors_example_along_the_path(tiny, norm):
    one, other = vectors(1.0, 3.0)
    found = connectivity(tiny, [one, other], EXAMPLES, points=3, norm=norm)
    assert found.losses.shape == (2, 2, 3)

    def loss(example, values):
        (text,) = example.suppress
        p = wb.log_prob(tiny, example.prompt, text, wb.Add(wb.SteeringVector(values, 1)))
        return -float(torch.log1p(-p.token_log_probs[0].exp()).sum())

    middle = (one.values + other.values) / 2
    size = one.norm if norm == "first" else (one.norm + other.norm) / 2
    end = other.values * (one.norm / other.norm) if norm == "first" else other.values
    expected = [
        loss(EXAMPLES[0], one.values),
        loss(EXAMPLES[0], middle * (size / middle.norm())),
        loss(EXAMPLES[0], end),
    ]
    assert found.losses[0, 1] == pytest.approx(expected, abs=1e-3)
    assert found.losses[1, 0, 0] == pytest.approx(loss(EXAMPLES[1], other.values), abs=1e-3)
    assert found.losses[0, 0] == pytest.approx([expected[0]] * 3, abs=1e-6)


def test_every_pair_has_its_own_path(tiny):
    some, examples = vectors(1.0, 2.0, 3.0), [*EXAMPLES, wb.Example("w8 w9 ", suppress=["w2"])]
    found = connectivity(tiny, some, examples, points=3)
    for i, j in [(0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1)]:
        pair = connectivity(tiny, [some[i], some[j]], [examples[i], examples[j]], points=3)
        np.testing.assert_allclose(found.losses[i, j], pair.losses[0, 1], atol=1e-4)
    assert len(np.unique(found.losses[:, :, 1].round(4))) == 9


def made(*paths):
    """Two vectors, with these losses on the way there and back."""
    losses = np.zeros((2, 2, len(paths[0])))
    losses[0, 1], losses[1, 0] = paths
    return Connectivity(("a", "b"), np.linspace(0, 1, len(paths[0])), losses)


def test_connected_is_a_path_without_a_barrier_over_the_worse_end():
    found = made([1, 2, 3], [1, 4, 3])
    assert found.connected.tolist() == [[True, True], [False, True]]
    assert found.share == 0.5
    low, high = found.interval(resamples=200)
    assert 0 <= low <= 0.5 <= high <= 1
    frame = found.to_frame()
    assert list(frame["barrier"]) == [0, 1]
    assert list(frame["source"]) == ["a", "b"]
    assert made([1, 0, 3], [2, 2, 2]).share == 1


def test_bad_input(tiny):
    one, other = vectors(1.0, 1.0)
    with pytest.raises(ValueError, match="two of each at least"):
        connectivity(tiny, [one], EXAMPLES[:1])
    with pytest.raises(ValueError, match="'v0' and 'v0' are antipodal"):
        connectivity(tiny, [one, (one * -2.0).labelled("v0")], EXAMPLES)
    moved = wb.SteeringVector(other.values, 2)
    with pytest.raises(ValueError, match="different layers"):
        connectivity(tiny, [one, moved], EXAMPLES)
