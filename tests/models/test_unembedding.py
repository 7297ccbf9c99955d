"""From the last stream to values of logits, and back to the stream."""

import pytest
import torch
from torch import nn

from workbench.models import unembedding
from workbench.models.unembedding import Head, spread

pytestmark = pytest.mark.tl3

WIDTH, VOCAB = 12, 40
STREAM = torch.randn(50, WIDTH, generator=torch.Generator().manual_seed(0))
WEIGHTS = torch.linspace(-1, 1, len(STREAM))


def head(bias=False, cap=0.0):
    torch.manual_seed(1)
    norm, unembed = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, VOCAB, bias=bias)
    return Head(norm.requires_grad_(False), unembed.requires_grad_(False), cap, VOCAB)


def reader(logits, some):
    """Each token's logsumexp, times its number; the gradient takes the logits' place."""
    values = logits.logsumexp(-1)
    logits.sub_(values[:, None]).exp_().mul_(some[:, None])
    return values * some, logits


def both_ways(which, stream):
    """Values and gradients by the reader, and by autograd through the logits."""
    free = stream.clone().requires_grad_()
    values = which.read(free, reader)
    (found,) = torch.autograd.grad((WEIGHTS.to(values.dtype) * values).sum(), free)
    plain = stream.clone().requires_grad_()
    expected = which(plain).logsumexp(-1) * torch.arange(len(stream))
    (slope,) = torch.autograd.grad((WEIGHTS.to(expected.dtype) * expected).sum(), plain)
    return (values, found), (expected, slope)


@pytest.mark.parametrize(
    "which",
    [head(), head(bias=True), head(cap=3.0)],
    ids=["turned", "turned, bias", "capped"],
)
@pytest.mark.parametrize("largest", [VOCAB * 7, unembedding.LARGEST], ids=["chunks", "at once"])
def test_what_is_read_equals_autograd(monkeypatch, which, largest):
    monkeypatch.setattr(unembedding, "LARGEST", largest)
    for one, other in zip(*both_ways(which, STREAM), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)


def test_in_float64_it_is_read_as_it_is():
    which = head()
    which.final_norm.double()
    which.unembed.double()
    for one, other in zip(*both_ways(which, STREAM.double()), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-10)


def test_without_gradients_values_are_the_same_and_nothing_is_kept():
    which = head()
    with torch.no_grad():
        values = which.read(STREAM.clone().requires_grad_(), reader)
    assert not values.requires_grad
    assert torch.equal(values, which.read(STREAM, reader))


def test_values_are_summed_by_owner():
    values = torch.tensor([1.0, 2.0, 4.0])
    assert spread(values, torch.tensor([2, 0, 2]), 3).tolist() == [2.0, 0.0, 5.0]
