"""Flips: counted against the unsteered decision, and only where the text says so too."""

import pytest
import torch

import workbench as wb
from workbench.evaluation.flips import Flips, flips


def test_a_flip_needs_another_decision_and_a_text_that_states_it():
    found = Flips(
        groups=("good",) * 4 + ("poor",) * 2,
        unsteered=(0, 0, 0, 1, 1, 1),
        steered={"+v": (1, 1, 1, 1, 0, 1)},
        stated={"+v": (1, None, 0, 1, 0, None)},
    )
    assert (found.rate("+v", "good").successes, found.rate("+v", "good").n) == (1, 4)
    assert found.rate("+v", "poor").rate == 0.5
    assert found.neither("+v", "good").rate == 0.25
    frame = found.to_frame()
    assert list(frame["flipped"]) == [0.25, 0.5]
    assert list(frame["neither"]) == [0.25, 0.5]
    with pytest.raises(KeyError, match="no way '-v'"):
        found.rate("-v", "good")


def test_decisions_are_the_models_own(tiny):
    """Options that the model itself writes: unsteered ones are stated, a zero vector flips none."""
    prompts = ["w1 w2 ", "w3 w4 "]
    own = wb.generate(tiny, prompts, max_new_tokens=2)
    options = [(text, "w7 w9") for text in own]
    zero = wb.SteeringVector(torch.zeros(tiny.cfg.d_model), layer=1)
    strong = wb.SteeringVector(100 * torch.ones(tiny.cfg.d_model), layer=1)
    ways = {"zero": wb.Add(zero), "strong": wb.Add(strong)}
    found = flips(tiny, prompts, options, ["a", "b"], ways, max_new_tokens=2)
    assert found.unsteered == found.steered["zero"] == found.stated["zero"] == (0, 0)
    assert found.rate("zero", "a").rate == 0
    steered = wb.generate(tiny, prompts, ways["strong"], max_new_tokens=2)
    assert [said is None for said in found.stated["strong"]] == [
        text.strip() != mine.strip() for text, mine in zip(steered, own, strict=True)
    ]


def test_with_a_layer_all_is_equal_and_what_is_known_is_not_generated(tiny, monkeypatch):
    prompts = ["w1 w2 ", "w3 w4 ", "w1 w5 w6 "]
    vector = wb.SteeringVector(torch.arange(32.0) - 16, layer=2)
    ways = {"+v": wb.Add(vector), "-v": wb.Add(vector, -1.0)}
    options = [("w7 w9", "w8"), ("w10 w11 w12", "w13"), ("w14", "w15 w16")]
    asked = (tiny, prompts, options, ["a", "b", "a"], ways)
    assert flips(*asked, layer=2, max_new_tokens=4) == flips(*asked, max_new_tokens=4)


@pytest.mark.parametrize(
    ("options", "groups", "message"),
    [
        ([("a", "b")], ["x", "y"], "one of each"),
        ([("a", "b", "c"), ("a", "b")], ["x", "y"], "between two"),
    ],
)
def test_what_does_not_pair_up_is_refused(tiny, options, groups, message):
    with pytest.raises(ValueError, match=message):
        flips(tiny, ["w1", "w2"], options, groups, {})
