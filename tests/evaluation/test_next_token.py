"""Divergence, entropy and mass of the next token equal what the logits say."""

import pytest
import torch

import workbench as wb
from workbench.evaluation import next_token
from workbench.models.hooked import logits
from workbench.models.text import completion_ids, prompt_ids

PROMPTS, ANSWERS = ["w1 w2 w3 ", "w4 "], ["w5", "w6 w7"]


def a_vector():
    values = torch.randn(32, generator=torch.Generator().manual_seed(0))
    return wb.SteeringVector(3 * values, 1)


def test_they_equal_a_plain_computation(any_model):
    steering = wb.Add(a_vector())
    found = next_token(any_model, PROMPTS, ANSWERS, steering)
    for i, (prompt, answer) in enumerate(zip(PROMPTS, ANSWERS, strict=True)):
        tokens = torch.tensor([prompt_ids(any_model, prompt)])
        before = logits(any_model, tokens)[0, -1].float().softmax(-1).detach()
        with wb.steer(any_model, steering):
            after = logits(any_model, tokens)[0, -1].float().softmax(-1).detach()
        token = completion_ids(any_model, prompt, answer)[1][0]
        assert found.kl[i] == pytest.approx(
            float((before * (before / after).log()).sum()), rel=1e-3
        )
        assert found.entropy[i] == pytest.approx(float(-(after * after.log()).sum()), rel=1e-3)
        assert found.entropy_unsteered[i] == pytest.approx(
            float(-(before * before.log()).sum()), rel=1e-3
        )
        assert found.mass[i] == pytest.approx(float(after[token]), rel=1e-3)
        assert found.mass_unsteered[i] == pytest.approx(float(before[token]), rel=1e-3)
        assert found.first[i] == (int(after.argmax()) == token)


def test_without_steering_nothing_moves(tiny):
    frame = next_token(tiny, PROMPTS, ANSWERS, batch_size=1).to_frame()
    assert list(frame["kl"]) == pytest.approx([0, 0], abs=1e-6)
    assert list(frame["mass"]) == pytest.approx(list(frame["mass_unsteered"]))
    assert list(frame["answer"]) == ANSWERS


def test_texts_that_do_not_pair_are_refused(tiny):
    with pytest.raises(ValueError, match="2 prompts for 1 answers"):
        next_token(tiny, PROMPTS, ANSWERS[:1])
