"""People, what is said of them, and how it is taken back."""

import random

import pytest
import torch

import workbench as wb
from workbench.testbeds.retraction import (
    OCCUPATIONS,
    PHRASES,
    Claim,
    claims,
    knowledge,
    opening,
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


def test_parts_share_no_person_and_say_one_true_thing_of_each():
    made = {part: claims(people(), part) for part in PARTS}
    names = {part: {claim.name for claim in some} for part, some in made.items()}
    assert not names["train"] & names["validation"]
    assert not names["train"] & names["test"]
    assert not names["validation"] & names["test"]
    for some in made.values():
        for name in {claim.name for claim in some}:
            said = [claim for claim in some if claim.name == name]
            assert len({claim.said for claim in said}) == 3
            assert [claim.false for claim in said].count(False) == 1
    assert claims(people(), "test") == claims(people(), "test")


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
