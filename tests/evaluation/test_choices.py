"""Choices: the best option by its own log-probs, and what a text says."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import workbench as wb
from workbench.evaluation import choose, stated
from workbench.evaluation.choices import PreparedChoices
from workbench.steering import log_prob


def test_each_option_scores_its_mean_log_prob(tiny):
    prompts, options = ["w1 w2", "w3"], [(" w4", " w5 w6"), (" w7 w8", " w9", " w10")]
    found = choose(tiny, prompts, options)
    for prompt, texts, scores, chosen in zip(
        prompts, options, found.scores, found.chosen, strict=True
    ):
        alone = [float(log_prob(tiny, prompt, text).token_log_probs[0].mean()) for text in texts]
        assert scores == pytest.approx(alone, abs=1e-5)
        assert chosen == alone.index(max(alone))
    whole = choose(tiny, prompts, options, per_token=False)
    assert whole.scores[0][1] == pytest.approx(2 * found.scores[0][1], abs=1e-5)
    frame = found.to_frame()
    assert list(frame["prompt"]) == [0, 0, 1, 1, 1]
    assert list(frame[frame["chosen"]]["option"]) == list(found.chosen)


@pytest.mark.parametrize(
    ("options", "message"),
    [([(" w1", " w2")], "2 prompts, but options for 1"), ([(" w1", " w2"), (" w3",)], "no two")],
)
def test_what_cannot_be_chosen_from_is_refused(tiny, options, message):
    with pytest.raises(ValueError, match=message):
        choose(tiny, ["w1", "w2"], options)


def test_prepared_choices_are_those_of_choose(tiny):
    vector = wb.SteeringVector(torch.arange(32.0) - 16, layer=2)
    prompts = ["w1 w2 ", "w3 ", "w4 w5 w6 "]
    options = [("w7 w8", "w9"), ("w10", "w11", "w12 w13"), ("w14", "w15")]
    prepared = PreparedChoices.of(tiny, prompts, options, layer=2)
    assert all(text.endswith("</s>") for text in prepared.prepared.completions)
    for steering in ([], wb.Add(vector)):
        plain = choose(tiny, prompts, options, steering)
        found, written = prepared.decide(steering)
        assert found.chosen == plain.chosen
        assert np.allclose(np.concatenate(found.scores), np.concatenate(plain.scores), atol=1e-4)
        assert written == (None,) * 3, "random models end no answer"
    with pytest.raises(ValueError, match="2 prompts, but options for 1"):
        PreparedChoices.of(tiny, ["w1", "w2"], options[:1], layer=2)


def test_what_is_known_to_be_written_is_not_generated(tiny):
    prompts, options = ["w1 w2 ", "w3 ", "w4 "], [("w7 w8", "w9"), ("w10", "w11"), ("w1", "w2")]
    prepared = PreparedChoices.of(tiny, prompts, options, layer=2)
    scored = prepared.prepared.score()
    greedy = (False, True, False, False, True, False)
    fake = SimpleNamespace(model=tiny, score=lambda *_, **__: replace(scored, greedy=greedy))
    known = SimpleNamespace(prompts=tuple(prompts), options=tuple(options), prepared=fake)
    _, written = PreparedChoices.decide(known)
    assert written == (1, None, 0)
    generated = wb.generate(tiny, prompts[1], max_new_tokens=4, progress=False)
    assert PreparedChoices.texts(known, written, max_new_tokens=4) == ["w9", *generated, "w1"]


ACTIONS = ("Sell the lamp.", "Sell the lamp to nobody.")


@pytest.mark.parametrize(
    ("text", "index"),
    [
        ("Sell the lamp.", 0),
        ("I would  sell the\nLAMP", 0),
        ("Sell the lamp to nobody.", 1),  # the other is a part of it
        ("Sell the table.", None),
        ("", None),
    ],
)
def test_the_option_that_a_text_states(text, index):
    assert stated(text, ACTIONS) == index


@pytest.mark.parametrize(
    ("text", "index"),
    [("B", 1), ("I would take action B.", 1), ("(A)", 0), ("a bad idea", None), ("A or B", None)],
)
def test_letters_are_words_in_their_case(text, index):
    assert stated(text, ("A", "B")) == index


def test_a_text_that_states_both_states_neither():
    assert stated("Keep it. Or: sell it.", ("Keep it.", "Sell it.")) is None
