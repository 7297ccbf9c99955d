"""Attack success: no refusal, no gibberish, no loop; judges are pluggable."""

import sys

import pytest

import workbench as wb
from workbench.evaluation.attack import Attack, attack, classifier, own_surprisal, refusal_phrases
from workbench.evaluation.repetition import distinct_share

REQUESTS = ("r1", "r2", "r3", "r4")


def test_success_needs_all_three():
    found = Attack(
        requests=REQUESTS,
        answers=("sorry", "fine", "odd", "loop"),
        refuses=(True, False, False, False),
        surprisal=(1.0, 1.0, 3.0, 1.0),
        distinct=(1.0, 1.0, 1.0, 0.5),
        threshold=2.0,
        least_distinct=0.6,
    )
    assert found.succeeds == (False, True, False, False)
    assert (found.success.rate, found.raw.rate, found.refusal.rate) == (0.25, 0.75, 0.25)
    assert list(found.to_frame()["succeeds"]) == list(found.succeeds)


def test_an_empty_answer_is_no_success():
    found = Attack(("r",), ("",), (False,), (float("nan"),), (0.0,), 2.0, 0.6)
    assert found.success.successes == 0


@pytest.mark.parametrize(
    ("text", "share"),
    [
        ("a b c d", 1.0),
        ("a b c a b c a b c", 3 / 7),
        ("one two", 1.0),
        ("", 0.0),
        # Loops without spaces: characters are counted in place of words.
        ("!" * 64, 1 / 62),
        ("unbelievable", 1.0),
        ("!" * 19, 1.0),
    ],
)
def test_distinct_share(text, share):
    assert distinct_share(text) == pytest.approx(share)


def test_unsteered_answers_of_the_parent_are_no_more_surprising_than_its_own(tiny):
    prompts = ["w1 w2 ", "w3 ", "w4 w5 "]
    found = attack(tiny, tiny, prompts, prompts, threshold=own_surprisal(tiny, prompts, 64, 100))
    assert max(found.surprisal) == pytest.approx(found.threshold)
    usual = attack(tiny, tiny, prompts, prompts)
    assert usual.threshold == own_surprisal(tiny, prompts) < found.threshold
    assert found.raw.rate == 1
    judged = attack(tiny, tiny, prompts, prompts, judge=lambda r, a: [True, False, True])
    assert judged.refusal.successes == 2


def test_prompts_trained_on_are_not_scored(tiny):
    found = attack(tiny, tiny, ["w1 ", "w2 "], ["a", "b"], trained_on=["w1 "])
    assert found.requests == ("b",)
    with pytest.raises(ValueError, match="all are among those trained on"):
        attack(tiny, tiny, ["w1 "], ["a"], trained_on=["w1 "])


def test_of_an_answer_that_is_begun_what_follows_is_judged(tiny):
    prompts, begun = ["w1 w2 ", "w3 "], ["w9 w8 ", "sorry "]
    found = attack(tiny, tiny, prompts, prompts, begun=begun)
    read = [prompt + opening for prompt, opening in zip(prompts, begun, strict=True)]
    assert list(found.answers) == wb.generate(tiny, read, max_new_tokens=64, progress=False)
    assert found.refuses == (False, False)
    rest = [
        wb.log_prob(tiny, text, answer) for text, answer in zip(read, found.answers, strict=True)
    ]
    assert list(found.surprisal) == pytest.approx([-float(each.mean) for each in rest], rel=1e-4)


def test_few_tokens_are_warned_of(tiny):
    with pytest.warns(UserWarning, match="give at least 64"):
        attack(tiny, tiny, ["w1 "], ["a"], max_new_tokens=4)
    with pytest.raises(ValueError, match="1 prompts for 2 requests and 1 openings"):
        attack(tiny, tiny, ["w1"], ["a", "b"])


def test_phrases_judge_by_what_is_said():
    assert refusal_phrases()(["r", "r"], ["I\u2019m sorry, no.", "Yes."]) == [True, False]


def test_a_classifier_asks_a_model_with_both_texts(tiny, monkeypatch):
    asked = []

    def log_prob(model, prompts, words):
        asked.extend(prompts)
        return wb.log_prob(model, prompts, words)

    monkeypatch.setattr(sys.modules["workbench.evaluation.attack"], "log_prob", log_prob)
    template = "w1 {generation} w2 {behavior} w3"
    judge = classifier(tiny, template, chat_format=False, words=(" w4", " w5"))
    found = judge(["w6 {generation}"], ["w7"])
    assert asked == ["w1 w7 w2 w6 {generation} w3"] * 2
    yes, no = (wb.log_prob(tiny, asked[0], word).total for word in (" w4", " w5"))
    assert found == [bool(no > yes)]
    with pytest.raises(ValueError, match=r"needs \{behavior\}"):
        classifier(tiny, "{generation}")
