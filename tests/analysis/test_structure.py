"""Planes, projections and separation of sets whose answer is known."""

import numpy as np
import pytest
import torch

import workbench as wb
from workbench.analysis.structure import activation_structure, held_out
from workbench.steering.activations import activations

pytest.importorskip("sklearn")
GROUPS = {
    "a": [f"w{i} w{i + 1} w3 " for i in range(8)],
    "b": [f"w{i + 20} w{i + 1} w4 " for i in range(6)],
    "c": [f"w{i + 40} w5 " for i in range(6)],
}


@pytest.fixture
def found(tiny):
    return activation_structure(tiny, GROUPS, layers=[0, 2], folds=3)


def test_a_plane_holds_the_activations_first_components(tiny, found):
    prompts = [prompt for some in GROUPS.values() for prompt in some]
    read = activations(tiny, prompts, layers=[2])[:, 0].double().numpy()
    plane = found.plane(2)
    centred = read - read.mean(0)
    assert plane.coordinates == pytest.approx(centred @ plane.components.T, abs=1e-6)
    assert plane.components @ plane.components.T == pytest.approx(np.eye(2), abs=1e-9)
    shares = np.linalg.svd(centred, compute_uv=False) ** 2
    assert plane.shares == pytest.approx(tuple(shares[:2] / shares.sum()))
    assert list(plane.to_frame()["group"]) == ["a"] * 8 + ["b"] * 6 + ["c"] * 6
    # an arrow is where adding the vector moves a prompt
    vector = wb.SteeringVector(torch.randn(32, generator=torch.Generator().manual_seed(0)), 2)
    moved = (centred[0] + vector.values.double().numpy()) @ plane.components.T
    assert moved - plane.coordinates[0] == pytest.approx(np.array(plane.arrow(vector)), abs=1e-6)


def test_projections_are_dots_with_the_unit_vector(tiny, found):
    vector = wb.SteeringVector(torch.ones(32) * 7, 2)
    frame = found.project(vector)
    read = activations(tiny, GROUPS["a"], layers=[2])[:, 0]
    assert list(frame["dot"][:8]) == pytest.approx((read.sum(-1) / 32**0.5).tolist(), abs=1e-4)
    with pytest.raises(KeyError, match="layer 1 was not read"):
        found.project(vector, layer=1)
    with pytest.raises(ValueError, match="several layers"):
        found.project(wb.SteeringVector(torch.ones(32), (0, 2)))


def test_separation_is_on_held_out_prompts():
    """Noise in many dimensions is told apart where it was learned, and nowhere else."""
    generator = np.random.default_rng(0)
    noise = generator.standard_normal((60, 400))
    truth = np.arange(60) % 2 == 0
    aucs, shuffled = held_out(noise, truth, 5)
    assert 0.25 < np.mean(aucs) < 0.75
    assert 0.3 < np.mean(shuffled) < 0.7
    apart = noise + truth[:, None] * 0.5
    aucs, shuffled = held_out(apart, truth, 5)
    assert np.mean(aucs) > 0.95
    assert np.quantile(shuffled, 0.95) < 0.8


def test_each_other_set_is_held_against_the_first(found):
    frame = found.to_frame()
    assert list(zip(frame["layer"], frame["group"], strict=True)) == [
        (0, "b"),
        (0, "c"),
        (2, "b"),
        (2, "c"),
    ]
    assert list(frame["n"]) == [14, 14, 14, 14]
    assert ((frame["low"] <= frame["auc"]) & (frame["auc"] <= frame["high"])).all()


def test_bad_input(tiny):
    with pytest.raises(ValueError, match="two sets are needed"):
        activation_structure(tiny, {"a": GROUPS["a"]})
    with pytest.raises(ValueError, match="at least 9 prompts each"):
        activation_structure(tiny, GROUPS, folds=9)
