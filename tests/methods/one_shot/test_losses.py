"""The losses, their gradients, and what happens where P is all but 1 or all but 0."""

import pytest
import torch
from torch import nn

import workbench as wb
from workbench.methods.one_shot.losses import (
    KINDS,
    Readings,
    complement_terms_,
    imitation_terms_,
    log_prob_terms_,
    promotion_terms_,
)
from workbench.models import unembedding
from workbench.models.tail import Pass
from workbench.models.unembedding import Head

pytestmark = pytest.mark.tl3

FLOOR = 4.0


def given(logits, seed=7):
    """Log-probs to imitate, with one token that has none."""
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randn(logits.shape, generator=generator)
    drawn[:, -1] = float("-inf")
    return drawn.log_softmax(-1)


def ours(kind, scaled, target):
    """Terms and gradients, with the vocabulary first in memory as in the head, or last."""
    scaled = scaled.clone() if len(target) % 2 else scaled.T.clone().T
    if kind == "promotion":
        terms = promotion_terms_(scaled, target)
    elif kind == "complement":
        terms = complement_terms_(scaled, target)
    elif kind == "log_prob":
        terms = log_prob_terms_(scaled, target, torch.full((len(target),), FLOOR))
    else:
        terms = imitation_terms_(scaled, given(scaled))
    return terms, scaled


def formula(kind, scaled, target):
    """The same as it is written, for float64."""
    log_probs = scaled.log_softmax(-1)
    chosen = log_probs.gather(-1, target[:, None]).squeeze(-1)
    if kind == "promotion":
        return -chosen
    if kind == "complement":
        others = scaled.scatter(-1, target[:, None], float("-inf"))
        return scaled.logsumexp(-1) - others.logsumexp(-1)
    if kind == "log_prob":
        return chosen.clamp(min=-FLOOR)
    wanted = given(scaled).double()
    held = wanted.isfinite()
    gaps = torch.where(held, wanted.exp() * (wanted.where(held, 0.0) - log_probs), 0.0)
    return gaps.sum(-1)


def compare(kind, logits, target):
    exact = logits.double().requires_grad_()
    expected = formula(kind, exact, target)
    (slope,) = torch.autograd.grad(expected.sum(), exact)
    found, gradient = ours(kind, logits, target)
    assert found.dtype == gradient.dtype == torch.float32
    assert gradient.isfinite().all()
    torch.testing.assert_close(found.double(), expected.detach(), rtol=1e-5, atol=2e-6)
    torch.testing.assert_close(gradient.double(), slope, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_terms_and_gradients_equal_autograd_in_float64(kind):
    logits = torch.randn(50, 31, generator=torch.Generator().manual_seed(0)) * 3
    compare(kind, logits, torch.arange(50) % 31)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("margin", [-80.0, -40.0, -17.0, 17.0, 40.0, 80.0])
def test_near_certainty_they_equal_float64_and_stay_finite(kind, margin):
    """At margin 17 float32's 1 - P is off by a third; at 40 it is zero and its log infinite."""
    logits = torch.zeros(1, 1000)
    logits[0, 3] = margin + 7.0
    compare(kind, logits, torch.tensor([3]))
    if kind == "complement" and margin > 0:
        found = complement_terms_(logits, torch.tensor([3]))
        others = torch.zeros(999, dtype=torch.float64).logsumexp(0)
        exact = torch.logaddexp(others, torch.tensor(margin + 7.0, dtype=torch.float64)) - others
        torch.testing.assert_close(found[0].double(), exact, rtol=1e-6, atol=0)


@pytest.mark.parametrize("kind", ["promotion", "complement", "log_prob"])
def test_tokens_that_cannot_come_have_no_part_in_it(kind):
    logits = torch.randn(5, 11, generator=torch.Generator().manual_seed(1))
    blocked = logits.clone()
    blocked[:, 6:] = float("-inf")
    target = torch.arange(5)
    found, gradient = ours(kind, blocked, target)
    expected, without = ours(kind, logits[:, :6].contiguous(), target)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(gradient[:, :6], without)
    assert (gradient[:, 6:] == 0).all()


def test_an_impossible_token_is_suppressed_already():
    logits = torch.tensor([[float("-inf"), 1.0, 2.0]])
    found, gradient = ours("complement", logits, torch.tensor([0]))
    assert found.tolist() == [0.0]
    assert gradient.tolist() == [[0.0, 0.0, 0.0]]


def test_a_log_prob_stops_at_its_floor():
    logits = torch.tensor([[0.0, 3.0], [-30.0, 3.0]])
    found, gradient = ours("log_prob", logits, torch.tensor([0, 0]))
    assert found[0] == pytest.approx(-3.0486, abs=1e-3)
    assert found[1] == -FLOOR
    assert gradient[0].abs().max() > 0.04
    assert (gradient[1] == 0).all()


def test_readings_of_every_kind_with_their_own_coldness_give_their_own_gradients(monkeypatch):
    """On an identity in place of the model: the stream is the logits. More than one chunk."""
    monkeypatch.setattr(unembedding, "LARGEST", 23 * 30)
    count, width = 80, 23
    generator = torch.Generator().manual_seed(3)
    stream = torch.randn(2, 50, width, generator=generator) * 2
    kind = torch.randint(4, (count,), generator=generator)
    row, column = torch.arange(count) % 2, torch.arange(count) // 2
    target = torch.randint(width, (count,), generator=generator)
    coldness = torch.linspace(0.5, 1.5, count).double()
    weights = torch.linspace(-1, 1, count)
    wanted = given(torch.zeros(int((kind == 3).sum()), width))
    readings = Readings(row, column, target, kind, coldness, torch.full((count,), FLOOR), wanted)

    free = stream.clone().requires_grad_()
    found = readings.terms(Pass(Head(nn.Identity(), nn.Identity(), 0.0, 23), stream=free))
    (slope,) = torch.autograd.grad((weights * found).sum(), free)

    exact = stream.double().requires_grad_()
    scaled = coldness[:, None] * exact[row, column]
    expected = torch.zeros(count, dtype=torch.float64)
    for number, name in enumerate(KINDS):
        chosen = (kind == number).nonzero().squeeze(-1)
        expected = expected.index_add(0, chosen, formula(name, scaled[chosen], target[chosen]))
    (exact_slope,) = torch.autograd.grad((weights.double() * expected).sum(), exact)
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=2e-6)
    torch.testing.assert_close(slope.double(), exact_slope, rtol=1e-4, atol=1e-6)


def test_half_precision_logits_are_read_in_float32():
    stream = torch.randn(1, 3, 7, generator=torch.Generator().manual_seed(4)).bfloat16()
    place, kind = torch.arange(3), torch.zeros(3, dtype=torch.long)
    readings = Readings(
        torch.zeros(3, dtype=torch.long), place, place, kind, torch.full((3,), 0.7), torch.ones(3)
    )
    found = readings.terms(Pass(Head(nn.Identity(), nn.Identity(), 0.0, 7), stream=stream))
    assert found.dtype == torch.float32
    expected = promotion_terms_(0.7 * stream[0].float(), place)
    torch.testing.assert_close(found, expected)


# ---- Both ways to suppress, in an optimization ----

SUPPRESSED = wb.Example("w4 w5", suppress=[" w12 w13"])


def suppress(model, **settings):
    start = torch.randn(32, generator=torch.Generator().manual_seed(0))
    return wb.optimize(model, [SUPPRESSED], 1, start=start, keep="last", progress=False, **settings)


def test_suppressing_the_log_prob_is_not_suppressing_the_probability(tiny):
    """The published code drops this option and trains the complement."""
    complement = suppress(tiny, steps=4)
    log_prob = suppress(tiny, steps=4, suppression="log_prob", floor=50.0)
    assert all(loss > 0 for loss in complement.losses)
    assert all(loss < 0 for loss in log_prob.losses)
    assert log_prob.last_loss < log_prob.losses[0]
    assert (log_prob.vector.values - complement.vector.values).norm() > 0.05
    for run, expected in ((log_prob, lambda p: p.log()), (complement, lambda p: -(1 - p).log())):
        scored = wb.log_prob(tiny, "w4 w5", " w12 w13", run.interventions, coldness=0.7)
        p = scored.token_log_probs[0].double().exp()
        assert run.loss == pytest.approx(float(expected(p).sum()), rel=1e-4, abs=1e-6)


def test_below_the_floor_nothing_pulls(tiny):
    run = suppress(tiny, steps=3, suppression="log_prob", floor=0.01)
    assert run.losses == pytest.approx([-0.02] * 3)
    assert run.norms[0] == pytest.approx(run.vector.norm)
    start = torch.randn(32, generator=torch.Generator().manual_seed(0))
    assert torch.equal(run.vector.values, start)
