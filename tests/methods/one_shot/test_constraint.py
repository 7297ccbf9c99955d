"""The least norm that keeps every completion's loss."""

import pytest
import torch

import workbench as wb
from tests.methods.one_shot.test_parameters import applied_losses
from workbench.methods.one_shot.constraint import LeastNorm, Multipliers
from workbench.methods.one_shot.engine import Engine

pytestmark = pytest.mark.tl3

EXAMPLE = wb.Example("w1 w2 w3", promote=[" w10"], suppress=[" w14 w15"])
SETTINGS = {"steps": 6, "learning_rate": 0.5, "progress": False}


def bounded(run, losses, slack):
    return all(ours <= loss + slack + 0.011 for ours, loss in zip(run, losses, strict=True))


@pytest.mark.parametrize("way", ["add", "affine"])
def test_the_result_keeps_its_bounds_with_a_smaller_norm(tiny, way):
    """A map's vector and matrix are of the same step, and the losses are theirs."""
    first = wb.optimize(tiny, [EXAMPLE], 1, intervention=way, **SETTINGS)
    constraint = LeastNorm(steps=30, slack=0.1, learning_rate=0.1)
    run = wb.optimize(tiny, [EXAMPLE], 1, intervention=way, constraint=constraint, **SETTINGS)
    reached = first.vector.provenance.results["completion_losses"]
    kept = applied_losses(tiny, run.interventions, [EXAMPLE])
    assert bounded(kept, reached, 0.1)
    assert sum(kept) == pytest.approx(run.loss, rel=1e-4)
    assert run.vector.norm < 0.95 * first.vector.norm
    assert run.stopped == "constraint"
    assert len(run.losses) == 6 + 1 + 30


def test_targets_that_were_reached_are_the_bounds(tiny):
    free = wb.optimize(tiny, [EXAMPLE], 1, **SETTINGS)
    targets = [loss + 0.03 for loss in free.vector.provenance.results["completion_losses"]]
    example = wb.Example("w1 w2 w3", [" w10"], [" w14 w15"], target_losses=targets)
    constraint = LeastNorm(steps=15, slack=3.0, learning_rate=0.1)
    run = wb.optimize(tiny, [example], 1, constraint=constraint, **{**SETTINGS, "steps": 20})
    assert bounded(run.vector.provenance.results["completion_losses"], targets, 0.0)
    assert run.step > 0


def test_a_target_of_the_total_bounds_no_completion_by_itself(tiny):
    """A completion that could be as bad as the whole would let the others' share go."""
    free = wb.optimize(tiny, [EXAMPLE], 1, **SETTINGS)
    run = wb.optimize(
        tiny,
        [EXAMPLE],
        1,
        target_loss=free.loss + 0.01,
        constraint=LeastNorm(steps=15, slack=0.05, learning_rate=0.1),
        **{**SETTINGS, "steps": 20},
    )
    assert run.loss <= free.loss + 0.01 + 2 * (0.05 + 0.01)


def test_interrupted_as_the_second_stage_begins_it_returns_the_first(tiny, monkeypatch):
    calls, answer = [], Engine.answer

    def interrupt(self, asked):
        calls.append(asked)
        if len(calls) == 5:  # four points of the first stage have been answered
            raise KeyboardInterrupt
        return answer(self, asked)

    monkeypatch.setattr(Engine, "answer", interrupt)
    with pytest.warns(UserWarning, match="interrupted"):
        run = wb.optimize(
            tiny, [EXAMPLE], 1, **{**SETTINGS, "steps": 3}, constraint=LeastNorm(steps=5)
        )
    assert run.loss == min([*run.losses, run.last_loss])


def test_the_multipliers_are_those_of_the_augmented_lagrangian():
    held = Multipliers(torch.tensor([1.0, 2.0]), rho=2.0)
    losses = torch.tensor([1.5, 1.0], requires_grad=True)
    penalty = held.penalty(losses)
    assert float(penalty.detach()) == pytest.approx((2.0 * 0.5) ** 2 / 4)
    (slope,) = torch.autograd.grad(penalty, losses)
    assert slope.tolist() == pytest.approx([1.0, 0.0])
    held.update(losses.detach())
    assert held.values.tolist() == pytest.approx([1.0, 0.0])
    # With a multiplier of 1 and the bound kept by half of it, what is left pulls on.
    kept = held.penalty(torch.tensor([0.75, 1.0]))
    assert float(kept) == pytest.approx(((1.0 + 2.0 * -0.25) ** 2 - 1.0) / 4)
    assert held.violation([1.25, 5.0]) == pytest.approx(3.0)
    assert held.violation([0.5, 1.0]) == 0.0


def test_bad_constraints_say_so():
    for settings in ({"steps": 0}, {"slack": -1}, {"rho": 0.0}, {"learning_rate": -1.0}):
        with pytest.raises(ValueError, match="a constraint needs"):
            LeastNorm(**settings)
    with pytest.raises(ValueError, match="works with 'adam'"):
        wb.OneShotJob([EXAMPLE], 1, optimizer="lbfgs", constraint=LeastNorm())
