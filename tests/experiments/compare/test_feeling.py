"""Things are asked about once, and answered with love or hate."""

import pytest
import torch

from workbench.experiments.compare import METHODS, feeling_task
from workbench.experiments.compare.feeling import COUNTS, THINGS
from workbench.experiments.compare.meter import margins
from workbench.experiments.compare.task import as_long
from workbench.methods import random_vectors


def test_every_thing_is_in_one_part(tiny):
    task = feeling_task(tiny)
    assert len(set(THINGS)) == len(THINGS)
    items = {part: getattr(task, part) for part in COUNTS}
    assert {part: len(some) for part, some in items.items()} == COUNTS
    for some in items.values():
        for item in some:
            assert item.shows.replace("love", "hate") == item.lacks
            assert item.shows.removeprefix("I love ") in item.prompt
    assert feeling_task(tiny, 1).test != task.test


@pytest.mark.embedded
def test_love_less_hate_is_one_pair_of_actadd(embedded):
    task = feeling_task(embedded)
    assert as_long(embedded, task.train[0]) is not None
    (made,) = METHODS["ActAdd"](task, 14, 0)
    items = task.validation[:8]
    before = torch.tensor(margins(embedded, items))
    unit = float(made.vector.norm)
    scale = 60.0 / unit
    found = (torch.tensor(margins(embedded, items, made.apply(made.vector, scale))) - before).mean()
    controls = [
        (torch.tensor(margins(embedded, items, made.apply(each, scale))) - before).mean()
        for each in random_vectors(made.vector, 4)
    ]
    assert found > max(controls)
