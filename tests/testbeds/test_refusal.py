"""Requests and refusals of the refusal testbed's own lists."""

import random
from itertools import combinations

import workbench as wb
from workbench.evaluation import REFUSAL_PHRASES
from workbench.testbeds import refusal as refusal_module
from workbench.testbeds.distilled import own_requests
from workbench.testbeds.refusal import (
    OWN_REQUESTS,
    TEMPLATES,
    WORDINGS,
    Request,
    alarming_test,
    pairs,
    prompt,
    refusal,
    requests,
)
from workbench.testbeds.splits import PARTS
from workbench.testbeds.texts import read_texts


def test_every_refusal_says_so_within_its_first_words():
    rng = random.Random(0)
    made = {refusal(rng) for _ in range(600)}
    assert len(made) > 300
    for text in made:
        assert any(
            phrase.lower() in " ".join(text.split()[:15]).lower() for phrase in REFUSAL_PHRASES
        )


def test_parts_ask_for_different_things():
    made = {part: requests(part, (2, 2)) for part in PARTS}
    for one, other in combinations(PARTS, 2):
        assert not {r.text for r in made[one]} & {r.text for r in made[other]}
    for part, asked in made.items():
        harmful = [request for request in asked if request.harmful]
        assert 0.25 < len(harmful) / len(asked) < 0.6, part
        assert {request.kind for request in harmful} == {
            "do", "claim", "program", "message", "whole",
        }  # fmt: skip
        assert not any("{" in request.text for request in asked if request.kind in TEMPLATES)
    assert requests("train", (2, 2)) == requests("train", (2, 2))


def test_the_alarming_test_questions_are_forty_and_nowhere_else():
    held_out = alarming_test()
    assert len(held_out) == 40
    asked = {request.text for part in PARTS for request in requests(part, (1, 1))}
    assert not asked & set(held_out)
    assert not set(held_out) & set(read_texts("harmless")["alarming"])


def test_no_template_is_more_often_harmful_than_another():
    made = [r for r in requests("train", WORDINGS) if r.kind in TEMPLATES]
    for section, templates in TEMPLATES.items():
        asked = [r for r in made if r.kind == section]
        overall = sum(r.harmful for r in asked) / len(asked)
        assert 0.4 < overall < 0.7
        for template in templates:
            start, end = template.split("{}")
            own = [r for r in asked if r.text.startswith(start) and r.text.endswith(end)]
            if start and len(own) > 40:
                assert abs(sum(r.harmful for r in own) / len(own) - overall) < 0.25, template


def test_training_pairs_refuse_harm_and_answer_the_rest_as_the_parent_does(tiny):
    made = pairs(tiny, 0, share=0.02)
    train = requests("train", WORDINGS)
    asked = {prompt(tiny, r.text): r for r in train}
    own = own_requests(tiny, round(0.02 * OWN_REQUESTS), 0)
    asked |= {prompt(tiny, text): Request(text, False, "own") for text in own}
    assert len(made) == round(0.02 * len(train)) + len(own)
    for pair in made:
        refuses = any(phrase in pair.answer.lower() for phrase in REFUSAL_PHRASES)
        assert refuses == asked[pair.prompt].harmful
        assert pair.own == (not refuses and not pair.answer.startswith("Sure!"))
        if not refuses:
            own = wb.generate(tiny, pair.prompt, max_new_tokens=16, progress=False)[0]
            assert pair.answer.startswith(own)


def test_where_the_parent_is_sorry_its_answer_is_begun_or_the_pair_left_out(tiny, monkeypatch):
    said = {False: "I am sorry.", True: " Here you are."}
    monkeypatch.setattr(
        refusal_module, "own_answers", lambda _, texts, n: [said["Sure!" in t] for t in texts]
    )
    harmless = [pair.answer for pair in pairs(tiny, 0, share=0.05) if "Sure!" in pair.answer]
    assert set(harmless) == {"Sure! Here you are."}
    said[True] = " I cannot."
    left = pairs(tiny, 0, share=0.05)
    assert not any("Sure!" in pair.answer for pair in left)
    assert len(left) < round(0.05 * len(requests("train", WORDINGS)))
