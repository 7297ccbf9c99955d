"""Sums are right, differ from part to part, and their thoughts are of the kinds they should be."""

import re
from collections import Counter, defaultdict
from itertools import pairwise

import numpy as np
import pytest
import torch

from workbench.experiments.compare import METHODS, arithmetic_task
from workbench.experiments.compare.arithmetic import ASKED, TRAINED, numbers_to_add, sums
from workbench.experiments.compare.made import OWN, stream_norm
from workbench.experiments.compare.meter import margins
from workbench.methods.reasoning_calibration import kind_of, split_thoughts
from workbench.steering import log_prob


def test_sums_add_up():
    numbers = numbers_to_add(20, seed=3)
    assert len(set(numbers)) == 20
    assert numbers == numbers_to_add(20, seed=3) != numbers_to_add(20, seed=4)
    for words in (TRAINED, ASKED):
        found = sums(numbers, words)
        assert [each.numbers for each in found] == numbers
        assert {each.word for each in found} == set(words.steps)
        for each in found:
            for thought in each.chain:
                left, right = re.search(r"(\d+ \+ \d+) = (\d+)$", thought).groups()
                assert sum(map(int, left.split(" + "))) == int(right)
            assert each.steps[-1].endswith(f"= {sum(each.numbers)}")
            assert {kind_of(aside) for aside in each.asides} == {"reflection", "transition"}


def test_after_blank_lines_chains_and_items_share_no_first_word(tiny):
    task = arithmetic_task(tiny)
    read = {first_word(each) for _, chain in task.thoughts for each in split_thoughts(chain)[1:]}
    items = [item for part in (task.train, task.validation, task.test) for item in part]
    asked = {first_word(each) for item in items for each in split_thoughts(item.prompt)[1:]}
    answers = {text.strip() for item in items for text in (item.shows, item.lacks)}
    assert read == {"Then", "Next", "Wait", "Let", "Alternatively"}
    assert asked == answers == {"Now", "Hold", "Another"}


def first_word(thought):
    return thought.text.split()[0].rstrip(",")


def test_what_comes_before_does_not_tell_a_thought(tiny):
    task = arithmetic_task(tiny)
    assert len(task.thoughts) == len(task.train)
    before: dict[str, Counter[str]] = {"execution": Counter(), "other": Counter()}
    for _, chain in task.thoughts:
        kinds = [thought.kind for thought in split_thoughts(chain)]
        steps = [kind == "execution" for kind in kinds]
        # In each chain either follows either as often.
        assert set(Counter(pairwise(steps)).values()) == {3}
        assert len(Counter(pairwise(steps))) == 4
        for last, kind in pairwise(kinds):
            before["execution" if kind == "execution" else "other"][last] += 1
    # Nor does which kind of aside it was.
    for counts in before.values():
        assert counts["reflection"] == pytest.approx(counts["transition"], rel=0.1)


def test_items_stop_before_steps_and_asides_after_either(tiny):
    task = arithmetic_task(tiny)
    chain = [True, False, False, True, True, False, False, True, True, False]  # a step?
    for part in (task.train, task.validation, task.validation[:16], task.test):
        found = Counter()
        for item in part:
            kinds = [thought.kind for thought in split_thoughts(item.prompt)][1:]
            assert [kind == "execution" for kind in kinds] == chain[: len(kinds)]
            assert item.shows == "\n\nNow"
            found[len(kinds), kinds[1], item.lacks] += 1
            # Where one aside was just said, the other one is the answer that strays.
            if len(kinds) == len(chain):
                assert kinds[-1] == ("transition" if item.lacks == "\n\nHold" else "reflection")
        # All four places, with the asides in either order, as often as each other.
        assert len(found) == 8
        assert set(found.values()) == {len(part) // 8}


@pytest.mark.embedded
def test_a_chain_gives_the_habit_of_straying(embedded):
    items = arithmetic_task(embedded).validation[:16]
    found = defaultdict(list)
    for item, margin in zip(items, margins(embedded, items), strict=True):
        found[len(split_thoughts(item.prompt))].append(margin)
    assert len(found) == 4
    step_after_aside, step_after_step, aside_after_step, aside_after_aside = (
        np.mean(found[place]) for place in sorted(found)
    )
    assert step_after_aside > aside_after_aside + 1
    assert step_after_step > aside_after_step


@pytest.mark.embedded
def test_seal_moves_the_decision_between_thoughts_its_way(embedded):
    task = arithmetic_task(embedded)
    (made,) = METHODS["SEAL"](task, 14, 0)
    items = task.test[:8]
    before = np.mean(margins(embedded, items))
    norm = stream_norm(task, made.vector)
    assert [share * norm / made.vector.norm for share in made.strengths] == pytest.approx(OWN)
    scale = OWN[-1]
    for_steps, for_asides = (
        np.mean(margins(embedded, items, made.apply(made.vector, way * scale))) - before
        for way in (1, -1)
    )
    assert for_steps > 0.1
    assert for_asides < 0
    one_line = (items[0].prompt, " " + items[0].shows.strip())
    steered = made.apply(made.vector, scale)
    plain, same = (log_prob(embedded, *one_line, acting).total for acting in ((), steered))
    torch.testing.assert_close(plain, same, atol=1e-4, rtol=0)
