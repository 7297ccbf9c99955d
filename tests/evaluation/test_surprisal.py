"""Surprisal: minus the mean log-prob, of a whole text or of what follows its opening."""

import math

import pytest
import torch

import workbench as wb
from workbench.evaluation.surprisal import surprisal

PROMPTS, TEXTS = ["w1 w2 ", "w3 ", "w4 "], ["w5 w6 w7", "w8 w9", ""]


def nats(model, prompt, text):
    return -float(wb.log_prob(model, prompt, text).mean)


def test_it_is_minus_the_mean_log_prob(tiny):
    found = surprisal(tiny, PROMPTS, TEXTS)
    assert found.per_token[:2] == pytest.approx(
        [nats(tiny, PROMPTS[i], TEXTS[i]) for i in range(2)], rel=1e-5
    )
    assert math.isnan(found.per_token[2])
    assert (found.n, found.n_tokens) == (2, (3, 2, 0))
    assert found.median == pytest.approx(sum(found.per_token[:2]) / 2)
    assert list(found.to_frame()["n_tokens"]) == [3, 2, 0]


def test_with_openings_only_what_follows_counts(tiny):
    found = surprisal(tiny, PROMPTS, TEXTS, openings=["w5 w6 ", "w8 w9", ""])
    assert found.n_tokens == (1, 0, 0)
    assert found.per_token[0] == pytest.approx(nats(tiny, "w1 w2 w5 w6 ", "w7"), rel=1e-4)
    assert math.isnan(found.per_token[1])
    whole = surprisal(tiny, PROMPTS, TEXTS, openings=["", "", ""])
    assert whole.n_tokens == surprisal(tiny, PROMPTS, TEXTS).n_tokens


def test_what_does_not_pair_up_is_refused(tiny):
    with pytest.raises(ValueError, match="one prompt"):
        surprisal(tiny, PROMPTS, TEXTS[:2])
    with pytest.raises(ValueError, match="no text"):
        surprisal(tiny, [], [])


@pytest.mark.embedded
def test_an_opening_of_real_words(embedded):
    prompt, opening, rest = wb.chat(embedded, "Who are you?"), "I'm sorry, but", " I am a cat."
    found = surprisal(embedded, [prompt], [opening + rest], openings=[opening])
    assert found.per_token[0] == pytest.approx(nats(embedded, prompt + opening, rest), rel=1e-4)


@pytest.mark.embedded
def test_white_space_that_merges_with_the_prompt_is_left_out(embedded):
    """A steered answer may begin with the line breaks in which its prompt ends."""
    prompt = wb.chat(embedded, "Hello!")
    with pytest.raises(ValueError, match="merges"):
        wb.log_prob(embedded, prompt, "\n\nGood morning.")
    merged, plain = (
        surprisal(embedded, [prompt], [text]) for text in ("\n\nGood morning.", "Good morning.")
    )
    assert merged.per_token == pytest.approx(plain.per_token)
    opened = surprisal(embedded, [prompt], ["\n\nGood morning."], ["\n\nGood"])
    assert opened.n_tokens == surprisal(embedded, [prompt], ["Good morning."], ["Good"]).n_tokens


@pytest.mark.embedded
@pytest.mark.parametrize("text", ['"The" actor.', ".", ", it is said."])
def test_what_merges_with_the_prompt_is_scored_by_its_own_tokens(embedded, text):
    """A prompt that ends in a full stop, and an answer that begins with a sign."""
    prompt = wb.chat(embedded, "Who is Ann?", prefill="Ann is best known as an actor.")
    found = surprisal(embedded, [prompt], [text])
    head, tail = (
        embedded.tokenizer(each, add_special_tokens=False)["input_ids"] for each in (prompt, text)
    )
    with torch.no_grad():
        logits = embedded(torch.tensor([head + tail]))[0, len(head) - 1 : -1]
    nats = torch.nn.functional.cross_entropy(logits, torch.tensor(tail))
    assert found.per_token[0] == pytest.approx(float(nats), rel=1e-4)
    assert found.n_tokens == (len(tail),)
    opened = surprisal(embedded, [prompt], [text], [text[:1]])
    assert opened.n_tokens == (len(tail) - 1,)
