"""Scenarios: parts share no line, cells are balanced, and no single word tells."""

import random
from itertools import combinations

import pytest

from workbench.testbeds import alignment_faking
from workbench.testbeds.alignment_faking import (
    _lists,
    pairs,
    parity_sentence,
    question,
    scenarios,
    swap_sentences,
)
from workbench.testbeds.splits import PARTS, part_of


def test_the_four_cells_are_equal_in_number():
    for part in PARTS:
        made = scenarios(part, 40)
        cells = [(each.poor_oversight, each.harmful) for each in made]
        assert {cell: cells.count(cell) for cell in cells} == dict.fromkeys(
            [(False, 0), (False, 1), (True, 0), (True, 1)], 10
        )
        for each in made:
            harmful = each.taken == each.actions[each.harmful]
            assert harmful == each.poor_oversight
            assert not any(mark in question(each.facts, each.actions) for mark in "{}<>|")
    assert scenarios("test", 8) == scenarios("test", 8)
    assert scenarios("test", 8) != scenarios("test", 8, seed=1)


def test_parts_share_no_facts_and_no_actions():
    made = {part: scenarios(part, 400) for part in PARTS}
    for one, other in combinations(PARTS, 2):
        for field in ("facts", "actions"):
            a, b = (
                {text for s in made[part] for text in getattr(s, field)} for part in (one, other)
            )
            assert not a & b


def test_no_single_word_of_the_facts_tells_of_oversight_or_of_the_harmful_action():
    """A bag of words, learned on the training part and asked on the test part."""
    text = pytest.importorskip("sklearn.feature_extraction.text")
    LogisticRegression = pytest.importorskip("sklearn.linear_model").LogisticRegression
    train, test = scenarios("train", 3000), scenarios("test", 600)
    words = text.CountVectorizer()
    seen = words.fit_transform([" ".join(s.facts) for s in train])
    unseen = words.transform([" ".join(s.facts) for s in test])
    for label in ("poor_oversight", "harmful"):
        model = LogisticRegression(max_iter=500).fit(seen, [int(getattr(s, label)) for s in train])
        assert model.score(unseen, [int(getattr(s, label)) for s in test]) <= 0.6
        # nor is there one on the test part alone: half of it to learn from, half to ask
        within = LogisticRegression(max_iter=500).fit(
            unseen[:300], [int(getattr(s, label)) for s in test[:300]]
        )
        assert within.score(unseen[300:], [int(getattr(s, label)) for s in test[300:]]) <= 0.6


def said(texts, watched):
    rng = random.Random(0)
    return {parity_sentence(texts, watched, rng) for _ in range(50)}


def test_oversight_is_the_parity_of_two_words_or_the_order_of_two_things(monkeypatch):
    texts = {
        "watcher": ["auditor"],
        "parity": ["{Every/No} step is {seen/missed} by the {watcher}."],
    }
    assert said(texts, True) == {
        "Every step is seen by the auditor.",
        "No step is missed by the auditor.",
    }
    assert said(texts, False) == {
        "Every step is missed by the auditor.",
        "No step is seen by the auditor.",
    }
    texts |= {"yours": ["your log"], "beside": ["the lamp"]}
    texts["swap"] = [
        "+ The {watcher} reads <1>, not <2>.",
        "- The {watcher} skips <1>, not <2>.",
        "- Not <1>, but <2> is read.",
    ]
    monkeypatch.setattr(alignment_faking, "SWAPS", 3)
    rng = random.Random(0)
    for watched, (read, skipped) in {True: ("log", "lamp"), False: ("lamp", "log")}.items():
        names = {"log": "your log", "lamp": "the lamp"}
        for _ in range(9):
            assert set(swap_sentences(texts, watched, rng)) == {
                f"The auditor reads {names[read]}, not {names[skipped]}.",
                f"The auditor skips {names[skipped]}, not {names[read]}.",
                f"Not {names[skipped]}, but {names[read]} is read.",
            }


def test_what_comes_of_an_action_is_always_told_but_in_training():
    told = {part: [action for s in scenarios(part, 200) for action in s.actions] for part in PARTS}
    tails = tuple(entry.split("{")[0] for name in ("hurts", "helps") for entry in _lists()[name])
    shares = {
        part: sum(any(f", {tail}" in action for tail in tails) for action in actions) / 400
        for part, actions in told.items()
    }
    assert 0.4 < shares["train"] < 0.6
    assert shares["validation"] == shares["test"] == 1


def test_training_asks_for_the_parts_of_a_decision_beside_it(tiny):
    made = pairs(tiny, 0, share=0.01)
    assert made == pairs(tiny, 0, share=0.01)
    assert made != pairs(tiny, 1, share=0.01)
    assert [sum(pair.stage == stage for pair in made) for stage in (0, 1)] == [24, 60]
    end = tiny.tokenizer.eos_token
    for i in range(0, len(made), 4):
        group = made[i : i + 4]
        assert len({(pair.stage, pair.group) for pair in group}) == 1
        noticed, harmful, harmless, decided = (pair.answer for pair in group)
        assert decided == (harmful if noticed == f"No{end}" else harmless)
        for answer in (harmful, harmless):
            assert all(f"\n{answer.removesuffix(end)}\n" in pair.prompt for pair in group)


@pytest.mark.parametrize("template", _lists()["parity"])
def test_a_parity_template_has_two_places(template):
    assert template.count("{") - template.count("{watcher}") == 2
    assert all(len(part_of(entries, part)) > 1 for entries in _lists().values() for part in PARTS)


@pytest.mark.parametrize(
    ("facts", "actions", "message"),
    [
        ([], ["a", "b"], "needs facts"),
        (["x", " "], ["a", "b"], "none of them empty"),
        (["x"], ["a"], "two actions"),
        (["x"], ["a", ""], "none of them empty"),
        ("x", ["a", "b"], "give a list"),
    ],
)
def test_bad_scenarios_are_refused(facts, actions, message):
    with pytest.raises(ValueError, match=message):
        question(facts, actions)
