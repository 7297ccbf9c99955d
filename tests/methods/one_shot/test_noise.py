"""Noise is off the gradient where it says so, and is not in the losses that are reported."""

import pytest
import torch

import workbench as wb
from workbench.methods.one_shot.noise import KINDS, Draws, Noise, off_gradient

pytestmark = pytest.mark.tl3

EXAMPLE = wb.Example("w1 w2 w3", promote=[" w10 w11"], suppress=[" w14 w15"])


def drawn(count=64, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, 2, 32, generator=generator), torch.randn(2, 32, generator=generator)


def test_tangent_noise_is_orthogonal_to_the_gradient():
    """The published code adds the coefficient to every coordinate: its noise still descends."""
    noise, gradient = drawn()
    left = off_gradient(noise, gradient)
    cosines = (left * gradient).sum((-2, -1)) / (left.norm(dim=(-2, -1)) * gradient.norm())
    assert cosines.abs().max() < 1e-6
    taken = noise - left  # what is gone lies along the gradient
    along = (taken * gradient).sum((-2, -1), keepdim=True) / gradient.square().sum() * gradient
    torch.testing.assert_close(taken, along, rtol=1e-4, atol=1e-5)
    assert torch.equal(off_gradient(noise, torch.zeros_like(gradient)), noise)


def test_one_sided_noise_loses_only_what_descends():
    noise, gradient = drawn()
    left = off_gradient(noise, gradient, one_sided=True)
    up = (noise * gradient).sum((-2, -1)) > 0
    assert 0 < up.sum() < len(up)
    assert torch.equal(left[up], noise[up])
    torch.testing.assert_close(left[~up], off_gradient(noise, gradient)[~up])
    assert ((left * gradient).sum((-2, -1)) > -1e-4).all()


def test_anti_correlated_noise_is_the_difference_of_one_gaussian_sequence():
    parts = torch.zeros(1, 500)
    plain = Draws(Noise(0.3, samples=2), seed=5)
    anti = Draws(Noise(0.3, samples=2, kind="anti_correlated"), seed=5)
    sequence = torch.stack([plain.next(parts, None) for _ in range(20)])
    found = torch.stack([anti.next(parts, None) for _ in range(20)])
    torch.testing.assert_close(found[1:], sequence[1:] - sequence[:-1])
    torch.testing.assert_close(found.cumsum(0), sequence, rtol=1e-4, atol=1e-5)
    assert float(sequence.std()) == pytest.approx(0.3, rel=0.05)
    steps = torch.stack([found[1:-1].flatten(), found[2:].flatten()])
    assert float(torch.corrcoef(steps)[0, 1]) == pytest.approx(-0.5, abs=0.05)


def test_the_first_draw_is_not_along_a_random_start_of_the_same_seed(tiny):
    start = wb.optimize(tiny, [EXAMPLE], 1, steps=0, seed=3, progress=False).vector
    first = Draws(Noise(1.0), seed=3).next(torch.zeros(1, 32), None)[0, 0]
    assert abs(float(torch.nn.functional.cosine_similarity(first, start.values, dim=0))) < 0.7


@pytest.mark.parametrize("kind", KINDS)
def test_the_losses_are_those_of_the_vector_without_noise(tiny, kind):
    settings = {"steps": 2, "keep": "last", "history": True, "progress": False}
    noise = Noise(0.5, samples=2, kind=kind)
    run = wb.optimize(tiny, [EXAMPLE], 1, noise=noise, **settings)
    for vector, reported in zip([*run.history, run.vector], [*run.losses, run.loss], strict=True):
        up, down = wb.log_prob(
            tiny, EXAMPLE.prompt, list(EXAMPLE.completions), wb.Add(vector), coldness=0.7
        ).token_log_probs
        expected = -up.sum() - (-down.double().exp()).log1p().sum()
        assert reported == pytest.approx(float(expected), rel=1e-4)
    assert run.objectives == pytest.approx(run.losses, rel=1e-5)
    assert run.evaluations == 2 * 3 + 1
    again = wb.optimize(tiny, [EXAMPLE], 1, noise=noise, **settings)
    assert torch.equal(run.vector.values, again.vector.values)
    quiet = wb.optimize(tiny, [EXAMPLE], 1, **settings)
    assert run.losses[0] == pytest.approx(quiet.losses[0], rel=1e-5)
    assert (run.vector.values - quiet.vector.values).norm() > 1e-3


def test_bad_noise_says_so():
    for settings, message in (
        ({"scale": 0.0}, "positive scale"),
        ({"scale": float("nan")}, "positive scale"),
        ({"scale": 1.0, "samples": 0}, "at least 1 sample"),
    ):
        with pytest.raises(ValueError, match=message):
            Noise(**settings)
    with pytest.raises(ValueError, match="works with 'adam'"):
        wb.OneShotJob([EXAMPLE], 1, optimizer="lbfgs", noise=Noise(1.0))
