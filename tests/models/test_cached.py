"""Cached passes on the plain model give what whole passes give, far beyond the first room."""

from __future__ import annotations

import pytest
import torch

from tests.conftest import TL3
from workbench.models.cached import CachedForward, PlainForward, cached_forward
from workbench.models.hooked import logits
from workbench.models.plain import plain_of
from workbench.models.text import pad

pytestmark = pytest.mark.skipif(TL3, reason="a HookedTransformer has no plain model")


def test_token_by_token_equals_one_pass(any_model) -> None:
    steps = 100  # more than one room, and many of the tiny Gemma's sliding windows
    added = torch.randint(3, 97, (2, steps), generator=torch.Generator().manual_seed(0))
    batch = pad(any_model, [[1, 20, 30, 40, 50, 60], [1, 21, 31]], side="left")
    whole = torch.cat([batch.tokens, added], 1)
    mask = torch.cat([batch.attention_mask, torch.ones_like(added)], 1)
    with torch.no_grad():
        expected = logits(any_model, whole, mask)[:, 5:]
    forward = cached_forward(any_model, plain_of(any_model))
    assert isinstance(forward, PlainForward)
    found = [forward(whole[:, :6], mask[:, :6])]
    found += [forward(whole[:, i - 1 : i], mask[:, :i]) for i in range(7, 7 + steps)]
    torch.testing.assert_close(torch.stack(found, 1), expected, rtol=0, atol=1e-4)


def test_without_a_plain_model_the_hooked_one_runs(tiny) -> None:
    assert isinstance(cached_forward(tiny, None), CachedForward)
