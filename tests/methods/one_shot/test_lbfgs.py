"""L-BFGS finds minima, as PyTorch's own does, and rows of a batch go their own ways."""

import math

import pytest
import torch

import workbench as wb
from workbench.methods.one_shot.lbfgs import Point, lbfgs

pytestmark = pytest.mark.tl3

PROMOTED = wb.Example("w1 w2 w3", promote=[" w10 w11"])
MIXED = wb.Example("w4 w5 w6 w7", promote=[" w10"], suppress=[" w14 w15"])


def minimize(function, start, steps=100):
    """Drive the generator with autograd; the accepted points."""
    accepted = []

    def accept(point):
        accepted.append(point)
        return False

    search = lbfgs(start, accept, steps)
    trial = next(search)
    while True:
        free = trial.clone().requires_grad_()
        value = function(free)
        (slope,) = torch.autograd.grad(value, free)
        try:
            trial = search.send(Point(trial, float(value.detach()), slope))
        except StopIteration:
            return accepted


def rosenbrock(x):
    return (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()


def quadratic(x):
    generator = torch.Generator().manual_seed(0)
    root = torch.randn(20, 20, generator=generator, dtype=torch.float64)
    aim = torch.randn(20, generator=generator, dtype=torch.float64)
    return (root @ (x - aim)).square().sum() + 0.1 * (x - aim).square().sum()


def logistic(x):
    generator = torch.Generator().manual_seed(1)
    data = torch.randn(40, 10, generator=generator, dtype=torch.float64)
    sign = torch.where(data[:, 0] + data[:, 1] ** 2 > 0.5, 1.0, -1.0)
    return torch.nn.functional.softplus(-sign * (data @ x)).sum() + 0.05 * x.square().sum()


CASES = {"rosenbrock": (rosenbrock, 2), "quadratic": (quadratic, 20), "logistic": (logistic, 10)}


@pytest.mark.parametrize("name", CASES)
def test_it_finds_the_minimum_that_pytorchs_finds(name):
    function, size = CASES[name]
    start = torch.full((size,), -1.2, dtype=torch.float64)
    found = minimize(function, start)
    theirs = start.clone().requires_grad_()
    other = torch.optim.LBFGS([theirs], max_iter=200, line_search_fn="strong_wolfe")

    def closure():
        other.zero_grad()
        value = function(theirs)
        value.backward()
        return value

    other.step(closure)
    assert found[-1].objective == pytest.approx(
        float(function(theirs).detach()), rel=1e-7, abs=1e-9
    )
    assert found[-1].gradient.norm() < 1e-4
    values = [point.objective for point in found]
    assert values == sorted(values, reverse=True)


def test_trials_where_the_objective_is_no_number_are_stepped_back_from():
    found = minimize(lambda x: (x - x.log()).sum(), torch.tensor([1e-3], dtype=torch.float64))
    assert found[-1].values.tolist() == pytest.approx([1.0], abs=1e-4)
    assert all(math.isfinite(point.objective) for point in found)


def test_it_ends_where_nothing_is_lower_and_where_it_is_told_to():
    def lifted(x):
        return quadratic(x) + 1.0

    found = minimize(lifted, torch.zeros(20).double(), steps=500)
    assert len(found) < 200
    assert found[-1].objective == pytest.approx(1.0, abs=1e-10)
    assert len(minimize(lifted, torch.zeros(20).double(), steps=3)) == 4


def close(ours, theirs):
    return all(abs(a - b) < 1e-3 * max(b, 0.5) for a, b in zip(ours, theirs, strict=True))


def test_descents_in_one_batch_equal_each_alone(tiny):
    jobs = [
        wb.OneShotJob([PROMOTED], 1, steps=3, optimizer="lbfgs"),
        wb.OneShotJob([MIXED], 1, steps=2, optimizer="lbfgs", max_norm=2.0),
        wb.OneShotJob([MIXED], 1, steps=3, optimizer="lbfgs", intervention="clamp", seed=3),
        wb.OneShotJob([PROMOTED], 1, steps=4),
    ]
    together = wb.optimize_batch(tiny, jobs, progress=False)
    for job, run in zip(jobs, together, strict=True):
        (alone,) = wb.optimize_batch(tiny, [job], progress=False)
        assert close(run.losses, alone.losses)
        assert run.evaluations == alone.evaluations


def test_it_stays_within_its_norm_and_goes_down(tiny):
    settings = {"steps": 6, "optimizer": "lbfgs", "start_norm": 1.0, "progress": False}
    free = wb.optimize(tiny, [MIXED], 1, **settings)
    run = wb.optimize(tiny, [MIXED], 1, max_norm=1.5, **settings)
    assert free.vector.norm > 1.5
    assert max(run.norms) <= 1.5 + 1e-5
    assert run.vector.norm <= 1.5 + 1e-5
    assert run.loss < run.losses[0]
    assert list(run.losses) == sorted(run.losses, reverse=True)
    scored = wb.log_prob(tiny, MIXED.prompt, " w10", wb.Add(run.vector), coldness=0.7)
    results = run.vector.provenance.results["completion_losses"]
    assert results[0] == pytest.approx(-float(scored.total[0]), rel=1e-4)


@pytest.mark.parametrize("example", [PROMOTED, MIXED], ids=["promotion", "mixed"])
def test_it_gets_lower_than_adam_with_as_many_evaluations(tiny, example):
    start = torch.randn(32, generator=torch.Generator().manual_seed(0))
    settings = {"start": start, "max_norm": 8.0, "progress": False}
    ours = wb.optimize(tiny, [example], 1, steps=8, optimizer="lbfgs", **settings)
    adam = wb.optimize(tiny, [example], 1, steps=ours.evaluations - 1, **settings)
    assert adam.evaluations == ours.evaluations
    assert ours.loss < adam.loss


def test_a_steepest_start_is_the_best_of_a_few_lengths(tiny):
    settings = {"steps": 0, "start": "steepest", "progress": False}
    run = wb.optimize(tiny, [PROMOTED], 1, **settings)
    zero = wb.optimize(tiny, [PROMOTED], 1, steps=0, start=torch.zeros(32), progress=False)
    assert run.loss < zero.loss
    given = wb.optimize(tiny, [PROMOTED], 1, start_norm=0.7, **settings)
    assert given.vector.norm == pytest.approx(0.7, rel=1e-5)
    assert given.vector.cosine(run.vector) == pytest.approx(1.0, abs=1e-5)
    assert run.evaluations == 1 + 2 + 1
    ours = wb.optimize(tiny, [PROMOTED], 1, optimizer="lbfgs", **settings)
    assert ours.evaluations == 1 + 2  # it goes on from what was seen at the start
    assert ours.loss == pytest.approx(run.loss, rel=1e-5)
