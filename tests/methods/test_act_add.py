"""Activation addition: each first position gets its own difference."""

import pytest
import torch

import workbench as wb
from workbench.methods.act_add import act_add
from workbench.models.text import prompt_ids

LAYER = 2
POSITIVE, NEGATIVE = "w1 w2 w3", "w4 w2 w5"


def stream(model, text, *steering):
    tokens = torch.tensor([prompt_ids(model, text)])
    with wb.steer(model, *steering):
        _, cache = model.run_with_cache(tokens, prepend_bos=False)
    return cache[f"blocks.{LAYER}.hook_resid_pre"][0]


def test_positions_get_the_differences_of_the_pair(any_model):
    found = act_add(any_model, POSITIVE, NEGATIVE, LAYER)
    expected = stream(any_model, POSITIVE) - stream(any_model, NEGATIVE)
    other = "w9 w8 w7 w6 w5 w9"
    change = stream(any_model, other, found.steering(2.5)) - stream(any_model, other)
    torch.testing.assert_close(change[: len(expected)], 2.5 * expected, rtol=1e-3, atol=1e-3)
    assert not change[len(expected) :].any()


def test_they_can_begin_after_a_chat_format(tiny):
    found = act_add(tiny, POSITIVE, NEGATIVE, LAYER)
    other = "w9 w8 w7 w6 w5 w9"
    front, later = (
        stream(tiny, other, found.steering(2.5, start)) - stream(tiny, other) for start in (0, 2)
    )
    torch.testing.assert_close(later[3:6], front[1:4], rtol=1e-3, atol=1e-3)
    assert not later[:3].any()


def test_where_both_begin_alike_nothing_is_added(tiny):
    """The BOS comes first, and is the same in both."""
    found = act_add(tiny, POSITIVE, NEGATIVE, LAYER)
    assert found.places == (1, 2, 3)
    assert [vector.provenance.config["place"] for vector in found.vectors] == [1, 2, 3]


def test_generation_is_steered_alike_with_padding(tiny):
    found = act_add(tiny, POSITIVE, NEGATIVE, LAYER).steering(4.0)
    prompts = ["w1 w2 w3 w4 w5 w6 ", "w7 w8 w9 w1 "]
    together = wb.generate(tiny, prompts, found, max_new_tokens=5, progress=False)
    alone = [
        wb.generate(tiny, [each], found, max_new_tokens=5, progress=False)[0] for each in prompts
    ]
    assert together == alone
    assert together != wb.generate(tiny, prompts, max_new_tokens=5, progress=False)


def test_what_does_not_fit_is_refused(tiny):
    with pytest.raises(ValueError, match="has 3 tokens and 'w1' 2"):
        act_add(tiny, "w1 w2", "w1", LAYER)
    with pytest.raises(ValueError, match="do not differ"):
        act_add(tiny, POSITIVE, POSITIVE, LAYER)
