"""Sums are right, differ from part to part, and their thoughts are of the kinds they should be."""

import re
from collections import Counter
from dataclasses import replace
from itertools import pairwise

import pytest
import torch

from workbench.experiments.compare import METHODS, arithmetic_task
from workbench.experiments.compare.arithmetic import sums
from workbench.experiments.compare.meter import margins
from workbench.methods import random_vector
from workbench.methods.reasoning_calibration import kind_of, split_thoughts
from workbench.steering import log_prob


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


def test_items_stop_where_an_aside_is_due(tiny):
    for item in arithmetic_task(tiny).test:
        steps = [thought.kind == "execution" for thought in split_thoughts(item.prompt)][1:]
        assert steps == [True, False, False, True, True, False, False, True, True]
        assert item.shows == "\n\nThen"
        assert item.lacks.split()[0] in {"Wait,", "Hmm,", "Let", "Alternatively,", "Another"}


@pytest.mark.embedded
def test_a_chain_gives_the_habit_of_straying(embedded):
    items = arithmetic_task(embedded).validation
    straight = [
        replace(item, prompt=re.sub(r"\n\n(?!Then)[^\n]*", "", item.prompt)) for item in items
    ]
    habit, none = (torch.tensor(margins(embedded, some)) for some in (items, straight))
    assert float((habit < none).float().mean()) > 0.9


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
