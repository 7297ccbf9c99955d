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
        for step in each.steps:
            left, right = step.split(" = ")
            assert sum(map(int, left.split(" + "))) == int(right)
        assert each.steps[-1].endswith(f"= {sum(each.numbers)}")
        for done in range(1, len(each.steps)):
            checked, other = each.asides(done)
            assert checked.endswith(each.steps[done - 1])
            assert (kind_of(checked), kind_of(other)) == ("reflection", "transition")
            assert each.strayed(done + 1).endswith(f"{other}\n\n{each.steps[done]}")


def test_thoughts_go_on_and_stray_after_either(tiny):
    task = arithmetic_task(tiny)
    assert len(task.thoughts) == len(task.train)
    follows = Counter()
    for _, chain in task.thoughts:
        kinds = [thought.kind == "execution" for thought in split_thoughts(chain)]
        follows.update(pairwise(kinds))
    # What comes before a thought does not tell what it is: either follows either as often.
    assert len(follows) == 4
    assert len(set(follows.values())) == 1
    for item in task.test:
        assert [
            split_thoughts(text)[0].kind == "execution" for text in (item.shows, item.lacks)
        ] == [
            True,
            False,
        ]


@pytest.mark.embedded
def test_a_chain_gives_the_habit_of_reflecting(embedded):
    items = arithmetic_task(embedded).validation
    straight = [
        replace(item, prompt=re.sub(r"\n\n[^\d\n][^\n]*", "", item.prompt)) for item in items
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
    one_line = (items[0].prompt, items[0].shows.strip())
    plain, same = (log_prob(embedded, *one_line, acting).total for acting in ((), steered))
    torch.testing.assert_close(plain, same, atol=1e-4, rtol=0)
