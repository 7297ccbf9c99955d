"""The balance penalty is a maximum mean discrepancy, and it lowers what it measures."""

import math
import statistics

import pytest
import torch

import workbench as wb
from workbench.methods.one_shot.balance import Balance, mmd
from workbench.models.text import completion_ids

pytestmark = pytest.mark.tl3

EXAMPLES = [
    wb.Example("w1 w2 w3", promote=[" w10"], group="a"),
    wb.Example("w4 w5", promote=[" w10 w11"], group="a"),
    wb.Example("w30 w31 w32", promote=[" w10"], group="b"),
    wb.Example("w33 w34", promote=[" w10"], suppress=[" w12"], group="b"),
]
GROUPS = ("a", "b")


def double_loop(first, second):
    """The same written plainly, on lists of rows."""
    both = [*first, *second]
    gap = lambda a, b: sum((x - y) ** 2 for x, y in zip(a, b, strict=True))  # noqa: E731
    gaps = [gap(a, b) for i, a in enumerate(both) for j, b in enumerate(both) if i != j]
    width = statistics.median_low(gaps)

    def mean(some, other):
        return statistics.fmean(math.exp(-gap(a, b) / width) for a in some for b in other)

    return math.sqrt(max(0, mean(first, first) + mean(second, second) - 2 * mean(first, second)))


def samples(m, n, shift=0.0):
    generator = torch.Generator().manual_seed(0)
    first, second = (torch.randn(k, 6, generator=generator).double() for k in (m, n))
    return first, second + shift


@pytest.mark.parametrize(("m", "n"), [(5, 5), (2, 7), (6, 3)])
def test_it_equals_a_plain_double_loop(m, n):
    first, second = samples(m, n, 0.5)
    found = float(mmd(first, second))
    assert found == pytest.approx(double_loop(first.tolist(), second.tolist()), abs=2e-6)


def test_it_is_zero_for_one_sample_twice_and_grows_with_a_shift():
    first, _ = samples(8, 8)
    assert float(mmd(first, first.clone())) == pytest.approx(0.0, abs=1e-6)
    assert float(mmd(torch.ones(3, 4), torch.ones(2, 4))) == pytest.approx(0.0, abs=1e-6)
    grown = [float(mmd(*samples(8, 8, shift))) for shift in (0.0, 0.5, 1.0, 2.0)]
    assert grown == sorted(grown)
    assert grown[-1] > 2 * grown[0]


def test_its_gradient_is_finite_also_where_both_agree():
    first = samples(4, 4)[0].requires_grad_()
    (slope,) = torch.autograd.grad(mmd(first, first.detach().clone()), first)
    assert slope.isfinite().all()


def changes(model, steering):
    """By whole passes: each example's mean change of the last stream where it predicts."""
    at = f"blocks.{model.cfg.n_layers - 1}.hook_resid_post"
    found = []
    for example in EXAMPLES:
        some = []
        for text in example.completions:
            head, tail = completion_ids(model, example.prompt, text)
            tokens = torch.tensor([head + tail])
            _, clean = model.run_with_cache(tokens)
            with wb.steer(model, steering):
                _, steered = model.run_with_cache(tokens)
            some.append((steered[at] - clean[at])[0, len(head) - 1 : -1])
        found.append(torch.cat(some).mean(0).double())
    return torch.stack(found[:2]), torch.stack(found[2:])


def test_a_great_weight_lowers_the_imbalance(tiny):
    settings = {"steps": 10, "learning_rate": 0.2, "keep": "last", "seed": 1, "progress": False}
    weight = 300.0
    plain = wb.optimize(tiny, EXAMPLES, 2, **settings)
    run = wb.optimize(tiny, EXAMPLES, 2, balance=Balance(GROUPS, weight), **settings)
    assert run.losses[0] == pytest.approx(plain.losses[0], rel=1e-5)  # no penalty in it
    before, after = (float(mmd(*changes(tiny, one.interventions))) for one in (plain, run))
    assert after < 0.9 * before
    start = wb.optimize(tiny, EXAMPLES, 2, **{**settings, "steps": 0})
    first = float(mmd(*changes(tiny, start.interventions)))
    assert run.objectives[0] - run.losses[0] == pytest.approx(weight * first, rel=1e-3)


def test_groups_that_cannot_be_compared_say_so():
    with pytest.raises(ValueError, match="is positive"):
        Balance(GROUPS, 0.0)
    with pytest.raises(ValueError, match="compares two groups"):
        Balance(("a", "a"))
    with pytest.raises(ValueError, match="two examples of group 'c'"):
        wb.OneShotJob(EXAMPLES, 1, balance=Balance(("a", "c")))
