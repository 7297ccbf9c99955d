"""What the parent says and asks by itself."""

import pytest

import workbench as wb
from workbench.testbeds.distilled import own_answers, own_requests


def test_own_answers_are_the_greedy_ones_with_their_end(tiny):
    prompts = ["the cat ", "a dog sees "]
    end = tiny.tokenizer.eos_token
    greedy = wb.generate(tiny, prompts, max_new_tokens=5, details=True, progress=False)
    for answer, each in zip(own_answers(tiny, prompts, 5), greedy, strict=True):
        assert answer == (each.text + (end if each.stopped else "") or end)


def test_own_requests_are_sampled_each_once_and_end(tiny):
    made = own_requests(tiny, 20, seed=3)
    assert made == own_requests(tiny, 20, seed=3)
    assert made != own_requests(tiny, 20, seed=4)
    assert 0 < len(made) == len(set(made)) <= 20


@pytest.mark.embedded
def test_the_embedded_model_makes_up_requests_of_many_kinds(embedded):
    made = own_requests(embedded, 12, seed=0)
    assert len(made) >= 6
    assert all(len(text.split()) >= 3 for text in made)
    assert not any("<|im_" in text for text in made)
