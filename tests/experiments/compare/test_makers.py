"""Every method makes something of a task that acts on the model, and can be randomized."""

from dataclasses import replace

import pytest
import torch

from workbench.experiments.compare import METHODS
from workbench.experiments.compare.makers import UnfitTaskError
from workbench.experiments.compare.meter import margins
from workbench.methods import random_vector

LAYER = 2


@pytest.mark.parametrize("name", METHODS)
def test_each_method_acts_at_its_layer(task, name):
    for module in {
        "linear probe": "sklearn",
        "ensemble": "optuna",
        "KL-then-steer": "peft",
    }.items():
        if name == module[0] or (name, module[0]) == ("merged sets", "ensemble"):
            pytest.importorskip(module[1])
    made = METHODS[name](task, LAYER, 0)
    assert made
    items = task.validation
    before = torch.tensor(margins(task.model, items))
    for each in made:
        assert each.vector.layers == (LAYER,)
        assert each.data >= 1
        model = each.model or task.model
        strength = 4.0 if each.in_stream else each.strengths[0]
        after = torch.tensor(margins(model, items, each.apply(each.vector, strength)))
        other = random_vector(each.vector, 0)
        control = torch.tensor(margins(model, items, each.apply(other, strength)))
        assert (after - before).abs().max() > 1e-4
        assert (after - control).abs().max() > 1e-4
    assert torch.allclose(torch.tensor(margins(task.model, items)), before)  # left as it was


def test_one_shot_is_better_than_its_gradient_step(task):
    ((step,), several) = (
        METHODS[name](task, LAYER, 0) for name in ("one gradient step", "one-shot")
    )
    assert len(several) == 3
    first = several[0]
    scale = first.vector.norm / step.vector.norm
    trained_on = task.train[:1]
    descended, stepped = (
        margins(task.model, trained_on, each.apply(each.vector, strength))[0]
        for each, strength in ((first, 1.0), (step, scale))
    )
    assert descended > stepped


def test_what_a_task_lacks_is_said(task):
    with pytest.raises(UnfitTaskError, match="lettered"):
        METHODS["CAA"](replace(task, letters=()), LAYER, 0)
    with pytest.raises(UnfitTaskError, match="sibling"):
        METHODS["InferAligner"](replace(task, aligned=None), LAYER, 0)
