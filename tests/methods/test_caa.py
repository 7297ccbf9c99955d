"""CAA reads the letters and is added after the prompt."""

import warnings

import pytest
import torch

import workbench as wb
from workbench.methods.caa import AFTER_PROMPT, LetteredPair, balanced_pairs, caa, lettered_pairs
from workbench.models.text import prompt_ids

PAIRS = [
    LetteredPair("w1 w2 ", "w4 w5", "w4 w6"),
    LetteredPair("w3 w7 w8 ", "w4 w6", "w4 w5"),
    LetteredPair("w9 w2 ", "w4 w5", "w4 w7"),
]


def last_of(model, text, layer):
    """The stream at the text's last token, from a plain pass."""
    tokens = torch.tensor([prompt_ids(model, text)])
    _, cache = model.run_with_cache(tokens, prepend_bos=False)
    return cache[f"blocks.{layer}.hook_resid_pre"][0, -1]


def test_it_is_the_mean_difference_at_the_letter(any_model):
    found = caa(any_model, PAIRS, layers=[1, 3])
    assert [vector.layer for vector in found] == [1, 3]
    for vector in found:
        plain = torch.stack(
            [
                last_of(any_model, each.prompt + each.matching, vector.layer)
                - last_of(any_model, each.prompt + each.not_matching, vector.layer)
                for each in PAIRS
            ]
        ).mean(0)
        torch.testing.assert_close(vector.values, plain.detach(), rtol=1e-4, atol=1e-5)
    assert found[0].provenance.method == "caa"


def test_it_leaves_the_prompt_alone_but_for_its_last_token(tiny):
    (vector,) = caa(tiny, PAIRS, layers=[0])
    tokens = torch.tensor([prompt_ids(tiny, "w1 w2 w3 w4 w5")])
    with wb.steer(tiny, wb.Add(vector, positions=AFTER_PROMPT), prompt_lengths=[4]):
        _, steered = tiny.run_with_cache(tokens, prepend_bos=False)
    _, plain = tiny.run_with_cache(tokens, prepend_bos=False)
    change = (steered["blocks.0.hook_resid_pre"] - plain["blocks.0.hook_resid_pre"])[0]
    assert not change[:3].any()
    for moved in change[3:]:
        torch.testing.assert_close(moved, vector.values, rtol=1e-4, atol=1e-4)


def test_public_answers_are_cut_at_the_letter():
    (pair,) = lettered_pairs(["Which? "], [" (A)"], ["(B)"])
    assert pair == LetteredPair("Which? ", "(A", "(B")


def test_letters_that_do_not_match_equally_often_are_told_of(tiny):
    pairs = [
        LetteredPair(f"w{i} ", *(("w5", "w6") if i % 3 else ("w6", "w5"))) for i in range(10, 19)
    ]
    with pytest.warns(UserWarning, match="'w5' matches 3 times more often .* in 9 pairs"):
        caa(tiny, pairs, layers=[1])
    found = balanced_pairs(pairs)
    assert [pair.matching for pair in found] == ["w5", "w6"] * 3
    assert set(found) < set(pairs)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        caa(tiny, found, layers=[1])
    with pytest.raises(ValueError, match="all 3 pairs match 'w6'"):
        balanced_pairs([pair for pair in pairs if pair.matching == "w6"])


def test_what_does_not_fit_is_refused(tiny):
    with pytest.raises(ValueError, match="no pairs"):
        caa(tiny, [])
    with pytest.raises(ValueError, match="both answers"):
        caa(tiny, [LetteredPair("w1 ", "w2", "w2")])
    with pytest.raises(ValueError, match="more than once"):
        caa(tiny, [PAIRS[0], PAIRS[0]])
