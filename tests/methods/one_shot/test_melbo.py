"""Vectors of one norm that change a later layer most, one orthogonal to the other."""

import pytest
import torch

import workbench as wb
from tests.methods.one_shot.test_parameters import applied_losses
from workbench.methods.one_shot.change import LargestChange
from workbench.models.hooked import resid_pre
from workbench.models.text import completion_ids

pytestmark = pytest.mark.tl3

EXAMPLE = wb.Example("w1 w2 w3 w4", promote=[" w10 w11"])
NORM, TARGET = 2.0, 3


def plain_change(model, steering, example=EXAMPLE, power=2.0):
    """The change at the target layer, by two whole passes."""
    head, tail = completion_ids(model, example.prompt, example.completions[0])
    tokens, at = torch.tensor([head + tail]), resid_pre(TARGET)
    _, clean = model.run_with_cache(tokens)
    with wb.steer(model, steering, prompt_lengths=[len(head)]):
        _, steered = model.run_with_cache(tokens)
    return float((steered[at] - clean[at]).norm(dim=-1).pow(power).sum())


def random_vector(seed):
    values = torch.randn(32, generator=torch.Generator().manual_seed(seed))
    return wb.SteeringVector(NORM * values / values.norm(), 1)


@pytest.mark.parametrize("power", [2.0, 1.0])
def test_the_objective_is_the_change_of_a_plain_pass(tiny, power):
    run = wb.optimize(
        tiny,
        [EXAMPLE],
        1,
        steps=1,
        start=random_vector(0),
        change=LargestChange(TARGET, power),
        progress=False,
    )
    expected = plain_change(tiny, wb.Add(random_vector(0)), power=power)
    assert -run.objectives[0] == pytest.approx(expected, rel=1e-4)


def test_each_vector_has_its_norm_a_large_change_and_a_direction_of_its_own(tiny):
    runs = wb.melbo(
        tiny, EXAMPLE, 1, TARGET, NORM, count=3, steps=8, learning_rate=0.5, progress=False
    )
    vectors = [run.vector for run in runs]
    assert [vector.norm for vector in vectors] == pytest.approx([NORM] * 3, rel=1e-4)
    for i, one in enumerate(vectors):
        for other in vectors[:i]:
            assert abs(one.cosine(other)) < 1e-5
    by_chance = [plain_change(tiny, wb.Add(random_vector(seed))) for seed in range(20)]
    found = plain_change(tiny, wb.Add(vectors[0]))
    assert found > 1.2 * max(by_chance)


def test_a_start_is_orthogonal_already_to_vectors_that_are_not_to_each_other(tiny):
    one, mixed = random_vector(1), random_vector(1) + random_vector(2)
    run = wb.optimize(
        tiny, [EXAMPLE], 1, steps=2, orthogonal_to=[one, mixed], history=True, progress=False
    )
    for vector in [*run.history, run.vector]:
        assert abs(vector.cosine(one)) < 1e-5
        assert abs(vector.cosine(mixed)) < 1e-5
    again = wb.optimize(tiny, [EXAMPLE], 1, steps=2, orthogonal_to=[one, one], progress=False)
    assert abs(again.vector.cosine(one)) < 1e-5
    assert again.vector.norm > 0.5


def test_prompts_alone_are_read_up_to_the_models_own_next_token(tiny):
    (run,) = wb.melbo(tiny, "w1 w2 w3", 1, TARGET, NORM, steps=2, progress=False)
    (imitated,) = run.job.examples[0].imitate
    assert len(imitated.tokens) == 1
    assert run.losses[0] > 0  # KL(unsteered ‖ steered) of that token
    still = wb.optimize(tiny, run.job.examples, 1, start=torch.zeros(32), steps=0, progress=False)
    assert still.loss == pytest.approx(0.0, abs=1e-5)


def test_under_bounds_the_change_is_as_large_as_they_allow(tiny):
    """The published code's loss for this names a variable that does not exist."""
    example = wb.Example("w1 w2 w3 w4", promote=[" w10 w11"])
    settings = {"steps": 5, "learning_rate": 0.5, "seed": 1, "progress": False}
    first = wb.optimize(tiny, [example], 1, start_norm=NORM, max_norm=NORM, **settings)
    (run,) = wb.melbo(
        tiny,
        example,
        1,
        TARGET,
        NORM,
        constraint=wb.LeastNorm(steps=25, slack=0.5, rho=20.0, learning_rate=0.1),
        **settings,
    )
    (kept,) = applied_losses(tiny, run.interventions, [example])
    assert kept <= first.loss + 0.5 + 0.011
    assert run.vector.norm <= NORM + 1e-4
    assert plain_change(tiny, run.interventions) > plain_change(tiny, first.interventions)


def test_a_layer_that_is_not_behind_the_vector_is_refused(tiny):
    with pytest.raises(ValueError, match="target_layer 2 is not behind layer 2"):
        wb.melbo(tiny, EXAMPLE, 2, 2, NORM, progress=False)
