"""The plain model behind a bridge."""

from __future__ import annotations

import pytest
import torch

from tests.conftest import TL3
from workbench.models.hooked import logits, resid_pre
from workbench.models.plain import plain_of

pytestmark = pytest.mark.skipif(TL3, reason="a HookedTransformer is not a wrapped model")


def test_it_shares_every_weight_and_gives_the_same_logits(any_model) -> None:
    plain = plain_of(any_model)
    assert plain is not None
    tokens = torch.tensor([[5, 9, 11, 8], [7, 7, 20, 3]])
    with torch.no_grad():
        found = plain.hf_model(tokens).logits
        expected = logits(any_model, tokens)
    assert torch.allclose(found, expected, atol=1e-4)
    held = {p.data_ptr() for p in any_model.original_model.parameters()}
    assert all(p.data_ptr() in held for p in plain.hf_model.parameters())


def test_a_model_with_hooks_has_none(tiny) -> None:
    with tiny.hooks(fwd_hooks=[(resid_pre(1), lambda resid, hook: resid)]):
        assert plain_of(tiny) is None
    assert plain_of(tiny) is not None


def test_what_transformers_leaves_behind_is_nobodys_hook(tiny) -> None:
    tiny.run_with_cache(torch.tensor([[5, 9, 11]]))
    assert any(module._forward_hooks for module in tiny.original_model.modules())
    assert plain_of(tiny) is not None


def test_changed_weights_are_followed_or_refused(tiny) -> None:
    assert plain_of(tiny) is not None
    with torch.no_grad():
        tiny.blocks[0].ln1.weight.mul_(2.0)
    plain = plain_of(tiny)  # the same parameter: the plain model changed with it
    assert plain is not None
    tiny.blocks[0].mlp.out.original_component.weight = torch.nn.Parameter(
        torch.zeros_like(tiny.blocks[0].mlp.out.original_component.weight)
    )
    assert plain_of(tiny) is None
