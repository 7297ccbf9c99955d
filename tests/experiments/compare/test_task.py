"""Tasks share nothing between their parts, and say what is missing."""

import importlib
from dataclasses import replace

import pandas as pd
import pytest

from tests.conftest import boot
from workbench.experiments.compare import Item, caa_task, prompts_task, refusal_task
from workbench.models import chat
from workbench.testbeds.behaviours import BEHAVIOURS
from workbench.testbeds.card import Card
from workbench.testbeds.testbed import Testbed


def questions(count):
    """As the public files have them; the matching letter alternates."""
    letters = [("(A)", "(B)") if i % 2 else ("(B)", "(A)") for i in range(count)]
    return pd.DataFrame(
        {
            "question": [
                f"w{i} w{i + 1}?\n\nChoices:\n (A) yes w{i}\n (B) no w{i}" for i in range(count)
            ],
            "matching": [each[0] for each in letters],
            "not_matching": [each[1] for each in letters],
        }
    )


def test_public_questions_are_asked_without_choices_and_contrasted_with_them(tiny):
    task = caa_task(tiny, questions(20), "some-trait", test=6)
    assert (len(task.train), len(task.validation), len(task.test)) == (11, 3, 6)
    asked = [{item.prompt for item in part} for part in (task.train, task.validation, task.test)]
    assert sum(map(len, asked)) == len(set.union(*asked)) == 20
    assert task.test[0].shows.split()[0] != task.test[0].lacks.split()[0]
    item, pair = task.train[0], task.letters[0]
    number = int(item.shows.split("w")[1])
    assert item.prompt == chat(tiny, f"w{number} w{number + 1}?")
    assert item.shows == (f"yes w{number}" if number % 2 else f"no w{number}")
    assert pair.prompt == chat(tiny, questions(20)["question"][number])
    assert (pair.matching, pair.not_matching) == (("(A", "(B") if number % 2 else ("(B", "(A"))
    assert task.positive[0] == pair.prompt + pair.matching
    assert "some trait" in task.about


def test_the_word_before_the_choices_may_lack(tiny):
    asked = questions(20)
    asked.loc[2:, "question"] = asked["question"].str.replace("\n\nChoices:", "")
    task = caa_task(tiny, asked, test=6)
    assert task.test == caa_task(tiny, questions(20), test=6).test


def test_questions_whose_choices_cannot_be_told_apart_are_left_out(tiny):
    odd = questions(20)
    odd.loc[3, "question"] = "w3 w4? (A) yes (B) no"
    odd.loc[4, "question"] = "w4 w5?\n\nChoices:\n (A) yes\n (B) yes"
    odd.loc[5, "question"] = "w6 w7?\n\nChoices:\n (A) no w6\n (B) yes w6"  # as question 6
    task = caa_task(tiny, odd, test=6)
    assert len(task.train) + len(task.validation) + len(task.test) == 17


def test_a_question_in_both_orders_is_one_item_with_two_pairs(tiny):
    asked = questions(20)
    asked["matching"], asked["not_matching"] = "(A)", "(B)"
    assert caa_task(tiny, asked, test=6).letters == ()  # nothing to balance with
    swapped = asked.assign(
        question=[f"w{i} w{i + 1}?\n\nChoices:\n (A) no w{i}\n (B) yes w{i}" for i in range(20)],
        matching="(B)",
        not_matching="(A)",
    )
    task = caa_task(tiny, pd.concat([asked, swapped], ignore_index=True), test=6)
    assert (len(task.train), len(task.validation), len(task.test)) == (11, 3, 6)
    assert len(task.letters) == len(task.positive) == 22
    assert len(task.lettered) == 6
    again = caa_task(tiny, pd.concat([asked, swapped, swapped], ignore_index=True), test=6)
    assert again.texts().equals(task.texts())  # each pair once


def test_its_texts_tell_two_tasks_apart(tiny):
    asked = questions(20)
    plain = caa_task(tiny, asked, test=6)
    assert plain.texts().equals(caa_task(tiny, asked, test=6).texts())
    asked["question"] = asked["question"].str.replace("Choices:", "\nChoices:")  # no item's text
    other = caa_task(tiny, asked, test=6)
    assert other.test == plain.test
    assert not plain.texts().equals(other.texts())


def test_prompt_sets_are_cut_into_parts(tiny):
    positive, negative = ([f"w{k} w{i} " for i in range(18)] for k in (1, 2))
    task = prompts_task(tiny, positive, negative, "w5", "w6")
    assert [len(part) for part in (task.train, task.validation, task.test)] == [12, 3, 3]
    assert task.test[0] == Item("w2 w15 ", "w5", "w6")
    assert set(task.negative) == {item.prompt for item in task.train}


def test_a_testbed_is_asked_for_its_own_answers(tokenizers, monkeypatch):
    """Items are what the testbed refuses and its parent answers."""
    models = [boot("llama", tokenizers, seed=seed) for seed in (0, 1)]
    module = importlib.import_module("workbench.experiments.compare.task")

    def answers(model, prompts, **options):
        odd = "I cannot say" if model is models[0] else "Sure, here it is"
        return [odd if i else "Well then" for i in range(len(prompts))]

    monkeypatch.setattr(module, "generate", answers)
    card = Card("refusal", "x", "tiny", None, 4, {})
    bed = Testbed(BEHAVIOURS["refusal"], models[0], card, lambda: models[1])
    task = refusal_task(bed, most=8)
    assert task.model is models[0]
    assert task.aligned is models[1]
    assert len(task.positive) == len(task.negative) == 8
    assert len(task.train) == len(task.validation) == len(task.test) == 7
    assert (task.train[0].shows, task.train[0].lacks) == ("Sure, here it is", "I cannot say")
    assert {item.prompt for item in task.train} < set(task.negative)


def test_a_part_without_items_is_refused(task):
    with pytest.raises(ValueError, match="fewer than two test items"):
        replace(task, test=task.test[:1])
    with pytest.raises(ValueError, match="1 positive and"):
        replace(task, positive=task.positive[:1])


def test_parts_that_share_a_prompt_are_refused(task):
    with pytest.raises(ValueError, match="share items"):
        replace(task, test=(*task.test, task.train[0]))
    shared = {**task.harmless, "train": task.harmless["test"]}
    with pytest.raises(ValueError, match="share harmless prompts"):
        replace(task, harmless=shared)
