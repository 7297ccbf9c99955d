"""Every method makes something of a task that acts on the model, and can be randomized."""

from dataclasses import replace

import pytest
import torch

from workbench.experiments.compare import METHODS
from workbench.experiments.compare.made import UnfitTaskError
from workbench.experiments.compare.makers import turned_to
from workbench.experiments.compare.meter import margins
from workbench.methods import random_vector
from workbench.steering import Positions, generate, steer
from workbench.steering.activations import activations

LAYER = 2


def changed(model, steering):
    """Which positions of a text are edited at the layer: the control must act at the same."""
    tokens = torch.tensor([[1, 20, 21, 22, 23, 24, 25, 26]])
    name = f"blocks.{LAYER}.hook_resid_pre"
    with torch.no_grad():
        _, plain = model.run_with_cache(tokens)
        with steer(model, steering, prompt_lengths=[5]):
            _, edited = model.run_with_cache(tokens)
    return (edited[name] - plain[name])[0].abs().max(-1).values > 1e-6


@pytest.mark.parametrize("name", [name for name in METHODS if name != "SEAL"])
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
        prompts = [item.prompt for item in items]  # a trained model has to work in every way
        texts = generate(
            model, prompts, each.apply(each.vector, strength), max_new_tokens=3, progress=False
        )
        assert len(texts) == len(prompts)
        touched = [changed(model, each.apply(vector, strength)) for vector in (each.vector, other)]
        assert touched[0].tolist() == touched[1].tolist()
    assert torch.allclose(torch.tensor(margins(task.model, items)), before)  # left as it was


def test_caa_reads_two_answers_where_there_are_no_letters(task):
    """At their last tokens, after the same prompts; it acts where it does with letters."""
    (lettered,) = METHODS["CAA"](task, LAYER, 0)
    (made,) = METHODS["CAA"](replace(task, letters=()), LAYER, 0)
    shown, lacked = (
        activations(
            task.model,
            [item.prompt for item in task.train],
            [getattr(item, answer) for item in task.train],
            layers=[LAYER],
            positions=Positions.span(-1, None),
        )[:, 0]
        for answer in ("shows", "lacks")
    )
    torch.testing.assert_close(made.vector.values, (shown - lacked).mean(0), atol=1e-5, rtol=1e-4)
    assert "last tokens" in made.note
    touched = [
        changed(task.model, each.apply(each.vector, 4.0)).tolist() for each in (lettered, made)
    ]
    assert touched[0] == touched[1]


def test_actadd_acts_where_prompts_cease_to_be_alike(task):
    """In a chat format the first tokens are not the request's."""
    opened = tuple(replace(item, prompt=f"w80 w81 {item.prompt}") for item in task.train)
    harmless = {
        part: tuple(f"w80 w81 {each}" for each in some) for part, some in task.harmless.items()
    }
    first = []
    for given in (task, replace(task, train=opened, harmless=harmless)):
        (made,) = METHODS["ActAdd"](given, LAYER, 0)
        touched = changed(task.model, made.apply(made.vector, 4.0))
        first.append(touched.nonzero()[0].item())
    assert first[1] == first[0] + 2


def test_actadds_control_keeps_norms_and_angles():
    vectors, to = torch.randn(4, 16), torch.randn(16)
    vectors[2] *= 5
    turned = turned_to(vectors, to)
    torch.testing.assert_close(turned @ turned.T, vectors @ vectors.T, atol=1e-4, rtol=1e-4)
    assert float(torch.cosine_similarity(turned[2], to, dim=0)) == pytest.approx(1.0, abs=1e-5)


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
    with pytest.raises(UnfitTaskError, match="one letter"):
        METHODS["CAA"](replace(task, letters=(), lettered=task.test), LAYER, 0)
    with pytest.raises(UnfitTaskError, match="chains of thought"):
        METHODS["SEAL"](task, LAYER, 0)
    with pytest.raises(UnfitTaskError, match="sibling"):
        METHODS["InferAligner"](replace(task, aligned=None), LAYER, 0)
