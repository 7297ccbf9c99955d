"""Sums are right, differ from part to part, and their thoughts are of the kinds they should be."""

import re
from collections import Counter, defaultdict
from itertools import pairwise

import numpy as np
import pytest
import torch

from workbench.experiments.compare import METHODS, arithmetic_task
from workbench.experiments.compare.arithmetic import sums
from workbench.experiments.compare.meter import margins
from workbench.methods import random_vector
from workbench.methods.reasoning_calibration import kind_of, split_thoughts
from workbench.steering import log_prob

FIRST_WORDS = {
    "reflection": {"Wait", "Hold", "Let"},
    "transition": {"Alternatively", "Another"},
}


def test_sums_add_up():
    found = sums(20, seed=3)
    assert len({each.numbers for each in found}) == 20
    assert found == sums(20, seed=3) != sums(20, seed=4)
    for each in found:
        for thought in each.chain:
            left, right = re.search(r"(\d+ \+ \d+) = (\d+)$", thought).groups()
            assert sum(map(int, left.split(" + "))) == int(right)
        assert each.steps[-1].endswith(f"= {sum(each.numbers)}")
        assert {kind_of(aside) for aside in each.asides} == {"reflection", "transition"}


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
    before = [True, False, False, True, True, False, False]  # a step? from the second thought on
    for item in task.test:
        kinds = [thought.kind for thought in split_thoughts(item.prompt)][1:]
        steps = [kind == "execution" for kind in kinds]
        assert steps == [*before, True, True, False][: len(steps)]
        assert item.shows == "\n\nThen"
        said = {kinds[-1]} if len(steps) == len(before) + 3 else set()
        assert item.lacks.removeprefix("\n\n") in {
            word for kind, words in FIRST_WORDS.items() if kind not in said for word in words
        }
    # Those that choose and those that measure hold each as often.
    for part in (task.validation[:16], task.test):
        assert list(Counter(map(place, part)).values()) == [len(part) // 4] * 4


def place(item):
    return len(split_thoughts(item.prompt))


@pytest.mark.embedded
def test_a_chain_gives_the_habit_of_straying(embedded):
    items = arithmetic_task(embedded).validation
    found = defaultdict(list)
    for item, margin in zip(items, margins(embedded, items), strict=True):
        found[place(item)].append(margin)
    (_, step_after_aside), (_, step_after_step), (_, aside_after_step), (_, aside_after_aside) = (
        sorted(found.items())
    )
    assert min(step_after_aside) > max(aside_after_aside) + 0.5
    assert np.mean(step_after_step) > np.mean(aside_after_step)


@pytest.mark.embedded
def test_seal_acts_between_thoughts(embedded):
    task = arithmetic_task(embedded)
    (made,) = METHODS["SEAL"](task, 14, 0)
    items = task.test[:4]
    before = torch.tensor(margins(embedded, items))
    scale = 8.0
    steered = made.apply(made.vector, scale)
    assert (torch.tensor(margins(embedded, items, steered)) - before).abs().min() > 1e-3
    control = made.apply(random_vector(made.vector, 0), scale)
    assert (torch.tensor(margins(embedded, items, control)) - before).abs().max() > 1e-4
    one_line = (items[0].prompt, " " + items[0].shows.strip())
    plain, same = (log_prob(embedded, *one_line, acting).total for acting in ((), steered))
    torch.testing.assert_close(plain, same, atol=1e-4, rtol=0)
