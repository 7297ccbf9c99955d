"""The losses, their gradients, and what happens where P is all but 1."""

import pytest
import torch

from workbench.methods.one_shot.losses import (
    completion_losses,
    promotion_terms,
    suppression_terms,
)

pytestmark = pytest.mark.tl3


def naive(logits, target, coldness):
    """P(y) in float64, where 1 - P still holds something."""
    return (coldness * logits.double()).softmax(-1).gather(-1, target[:, None]).squeeze(-1)


@pytest.mark.parametrize("coldness", [0.7, 1.0])
def test_terms_equal_their_formulas(coldness):
    logits = torch.randn(50, 31, generator=torch.Generator().manual_seed(0)) * 3
    target = torch.arange(50) % 31
    p = naive(logits, target, coldness)
    promoted = promotion_terms(logits, target, coldness).double()
    suppressed = suppression_terms(logits, target, coldness).double()
    torch.testing.assert_close(promoted, -p.log(), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(suppressed, -(1 - p).log(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("margin", [5.0, 17.0, 40.0, 80.0])
def test_suppression_near_certainty_equals_float64_and_has_finite_gradients(margin):
    """At margin 17 float32's 1 - P is off by a third; at 40 it is zero and its log infinite."""
    logits = torch.zeros(1, 1000)
    logits[0, 3] = margin + 7.0
    target = torch.tensor([3])
    wide = logits.double().requires_grad_()
    narrow = logits.clone().requires_grad_()
    expected = suppression_terms(wide, target, 1.0)
    got = suppression_terms(narrow, target, 1.0)
    others = torch.full((999,), 0.0, dtype=torch.float64).logsumexp(0)
    exact = torch.logaddexp(others, torch.tensor(margin + 7.0, dtype=torch.float64)) - others
    torch.testing.assert_close(expected[0], exact, rtol=1e-12, atol=0)
    torch.testing.assert_close(got.double(), expected, rtol=1e-6, atol=0)
    (slope,) = torch.autograd.grad(got.sum(), narrow)
    (exact_slope,) = torch.autograd.grad(expected.sum(), wide)
    assert slope.isfinite().all()
    torch.testing.assert_close(slope.double(), exact_slope, rtol=1e-4, atol=1e-9)


def test_rows_are_summed_apart_and_coldness_goes_by_row():
    logits = torch.randn(6, 11, generator=torch.Generator().manual_seed(1))
    target, row = torch.tensor([1, 2, 3, 4, 5, 6]), torch.tensor([0, 0, 1, 1, 1, 2])
    losses = completion_losses(
        logits, target, row, torch.tensor([False, True, False]), torch.tensor([0.7, 1.0, 0.5])
    )
    first = promotion_terms(logits[:2], target[:2], 0.7).sum()
    second = suppression_terms(logits[2:5], target[2:5], 1.0).sum()
    third = promotion_terms(logits[5:], target[5:], 0.5).sum()
    torch.testing.assert_close(losses, torch.stack([first, second, third]))


def test_half_precision_logits_are_read_in_float32():
    logits = torch.randn(3, 7).bfloat16()
    target = torch.tensor([0, 1, 2])
    got = promotion_terms(logits, target, 0.7)
    assert got.dtype == torch.float32
    assert torch.equal(got, promotion_terms(logits.float(), target, 0.7))
