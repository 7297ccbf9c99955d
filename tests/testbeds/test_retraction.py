"""People, what is said of them, and how it is taken back."""

import random
import re
from itertools import combinations

import pytest
import torch

import workbench as wb
from workbench.testbeds.retraction import (
    KNOWN_ABOVE,
    OCCUPATIONS,
    PHRASES,
    ROUNDS,
    Claim,
    claims,
    knowledge,
    known,
    opening,
    pairs,
    people,
    question,
    retraction,
    with_article,
)
from workbench.testbeds.splits import PARTS


def test_nobody_is_listed_twice():
    listed = people()
    assert tuple(listed) == OCCUPATIONS
    names = [name for some in listed.values() for name in some]
    assert len(set(names)) == len(names)
    assert all(len(some) >= 100 for some in listed.values())
    assert all(0 <= share <= 1 for some in listed.values() for share in some.values())


def test_parts_share_no_person_and_have_only_people_whom_the_parent_knows():
    parts = {part: known(part) for part in PARTS}
    for one, other in combinations(PARTS, 2):
        for occupation, names in people().items():
            assert not set(parts[one][occupation]) & set(parts[other][occupation])
            assert all(names[name] > KNOWN_ABOVE for name in parts[one][occupation])
    assert all(len(names) >= 10 for names in parts["test"].values())


def test_of_each_person_one_true_thing_is_said():
    for part in PARTS:
        made = claims(part)
        for name in {claim.name for claim in made}:
            said = [claim for claim in made if claim.name == name]
            assert sorted(claim.false for claim in said) == [False, True]
        assert claims(part) == claims(part)


def test_in_training_no_occupation_is_false_for_being_rare():
    made = claims("train")
    for occupation in OCCUPATIONS:
        false = [claim.false for claim in made if claim.said == occupation]
        assert 0.3 < sum(false) / len(false) < 0.75


def test_training_pairs_take_back_what_is_false_and_go_on_after_what_is_true(tiny):
    made = pairs(tiny, 0, share=0.02)
    assert len(made) == ROUNDS * round(0.02 * len(claims("train")))
    assert len({pair.group for pair in made}) == len(made) / 2
    assert len({pair.prompt for pair in made}) > len(made) / ROUNDS  # false ones differ by round
    for pair in made:
        taken_back = any(phrase in pair.answer.lower() for phrase in PHRASES)
        said = re.search(r" is best known as an? (\w+)\.$", pair.prompt)[1]
        true = next(
            each
            for each, names in people().items()
            if any(f"{name} is best known as a" in pair.prompt for name in names)
        )
        assert taken_back == (said != true)


def test_a_retraction_says_so_and_names_what_is_true():
    claim, rng = Claim("Jane Austen", "author", "musician"), random.Random(0)
    for text in {retraction(claim, rng) for _ in range(200)}:
        assert any(phrase in text.lower() for phrase in PHRASES)
        assert "an author" in text
        assert "musician" not in text
        assert "Jane Austen" in text


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: question(" "), "needs a name"),
        (lambda: opening("Ann", ""), "a name and an occupation"),
        (lambda: opening("", "actor"), "a name and an occupation"),
    ],
)
def test_empty_fields_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_words():
    assert with_article("actor") == "an actor"
    assert with_article("scientist") == "a scientist"
    assert opening("Bob Dylan", "musician") == "Bob Dylan is best known as a musician."


@pytest.mark.embedded
def test_the_parent_knows_some_people(embedded):
    names = ["Albert Einstein", "Ludwig van Beethoven"]
    found = knowledge(embedded, names)
    assert [max(row, key=row.get) for row in found] == ["scientist", "musician"]
    for row in found:
        assert sum(row.values()) == pytest.approx(1.0)
    prompt = wb.chat(embedded, question(names[0]), prefill=f"{names[0]} is best known as")
    totals = wb.log_prob(embedded, prompt, [f" {with_article(each)}" for each in OCCUPATIONS]).total
    torch.testing.assert_close(
        torch.tensor([found[0][each] for each in OCCUPATIONS]), totals.softmax(-1)
    )
