"""Guidance: the target's own gates, the sibling's vectors."""

import pytest
import torch

import workbench as wb
from tests.conftest import boot
from workbench.methods import mean_difference
from workbench.methods.guided import guidance
from workbench.steering import Add
from workbench.steering.activations import activations

HARMFUL = [f"w{i} w50 w51 " for i in range(4)]
HARMLESS = [f"w{i} w60 w61 " for i in range(4)]


@pytest.fixture
def aligned(tokenizers):
    return boot("llama", tokenizers, seed=1)


def test_vectors_are_the_siblings_and_gates_the_targets_own(tiny, aligned):
    found = guidance(tiny, aligned, HARMFUL, HARMLESS, [1, 2])
    theirs = mean_difference(aligned, HARMFUL, HARMLESS, layers=[1, 2])
    own = mean_difference(tiny, HARMFUL, HARMLESS, layers=[1, 2])
    for vector, expected in zip(found.vectors, theirs, strict=True):
        torch.testing.assert_close(vector.values, expected.values)
        vector.check_model(tiny)
    for condition, expected in zip(found.conditions, own, strict=True):
        torch.testing.assert_close(condition.vector.values, expected.values)
    assert found.to_frame()["layer"].tolist() == [1, 2]
    assert min(found.accuracy) > 0.9


def test_harmful_prompts_are_steered_and_harmless_ones_left_alone(tiny, aligned):
    found = guidance(tiny, aligned, HARMFUL, HARMLESS, [2])
    (condition,), (vector,) = found.conditions, found.vectors
    read = activations(tiny, [*HARMFUL, *HARMLESS], layers=[2])[:, 0]
    assert condition.holds(read).tolist() == [True] * 4 + [False] * 4

    def answers(steering):
        return wb.generate(tiny, [*HARMFUL, *HARMLESS], steering, max_new_tokens=6, progress=False)

    gated, steered, plain = answers(found.steering(8.0)), answers(Add(vector, 8.0)), answers([])
    assert gated == [*steered[:4], *plain[4:]]
    assert steered[:4] != plain[:4]


def test_empty_sets_are_refused(tiny, aligned):
    with pytest.raises(ValueError, match="none may be 0"):
        guidance(tiny, aligned, HARMFUL, [], [1])
