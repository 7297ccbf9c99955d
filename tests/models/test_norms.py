"""Norms with a written-out gradient equal those they stand for."""

import copy

import pytest
import torch
from torch import nn

from tests.conftest import TL3
from workbench.models.norms import RMSNorm, _as_rms_norm
from workbench.models.plain import plain_of

pytestmark = pytest.mark.skipif(TL3, reason="they are of the plain model behind a bridge")


def norms(model):
    return [module for module in plain_of(model).hf_model.modules() if isinstance(module, RMSNorm)]


def test_values_and_gradients_are_the_modules_own(any_model):
    for norm in norms(any_model):
        width = len(norm.original.weight)
        own = copy.deepcopy(norm).requires_grad_(False)
        own.original.weight.copy_(torch.linspace(-1, 2, width))
        x = torch.randn(3, 5, width, generator=torch.Generator().manual_seed(0)).requires_grad_()
        found, expected = own(x), own.original(x)
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
        (ours,) = torch.autograd.grad(found.sin().sum(), x)
        (theirs,) = torch.autograd.grad(expected.sin().sum(), x)
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def test_they_are_found_where_they_are(any_model):
    kind = any_model.original_model.config.model_type
    expected = {"llama": 9, "qwen3": 17, "gemma3_text": 25, "gpt2": 0, "gpt_neox": 0}
    assert len(norms(any_model)) == expected[kind]


def test_without_gradients_or_in_another_dtype_the_module_itself_is_called(tiny):
    norm = norms(tiny)[0]
    x = torch.randn(2, 3, 32)
    assert torch.equal(norm(x), norm.original(x))
    half = copy.deepcopy(norm).bfloat16()
    x = x.bfloat16().requires_grad_()
    assert torch.equal(half(x), half.original(x))


class OtherRMSNorm(nn.Module):
    """Named as one, with a formula of its own."""

    def __init__(self):
        super().__init__()
        self.weight, self.eps = nn.Parameter(torch.ones(8)), 1e-6

    def forward(self, x):
        return x / x.abs().mean(-1, keepdim=True)


def test_what_computes_something_else_is_left_alone():
    assert _as_rms_norm(OtherRMSNorm()) is None
    assert _as_rms_norm(nn.LayerNorm(8)) is None
