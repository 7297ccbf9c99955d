"""Measures under a vector are those of the rooms that define them."""

import pytest

from tests.runs.conftest import ANSWERS, QUESTIONS, declared
from workbench.analysis import log_prob_outcome
from workbench.evaluation import Reference, begins_as, cost
from workbench.models import chat, load_model
from workbench.runs import Study
from workbench.runs.measures import Meter, acting
from workbench.runs.worker import Setup, Worker
from workbench.steering import Add, Clamp, generate, log_prob


@pytest.fixture
def made(folder):
    """A model, a job, and its vector."""
    study = Study.from_dict(declared(folder, methods={"adam": {"steps": 3}}, seeds=[0]))
    model = load_model(str(folder))
    worker = Worker(Setup(study.jobs[0].model, chat=False), model)
    (vector,) = worker._make(study.jobs[:1])
    return model, study.jobs[0], vector


def measure(model, job, name, steering):
    return Meter(model).measure(job.measures[name], job, steering, str)


@pytest.mark.parametrize("scale", [0.5, -2.0])
def test_log_prob_is_that_of_a_layer_sweep(made, scale):
    model, job, vector = made
    found = measure(model, job, "held-out", [acting(vector, "add", scale)])
    outcome = log_prob_outcome(model, QUESTIONS, [" w10 w11"] * 3)(vector * scale)
    assert found == pytest.approx(outcome, abs=1e-5)


def test_kl_and_openings_are_those_of_evaluation(made):
    model, job, vector = made
    asked = QUESTIONS[:2]
    expected = cost(model, Reference.of(model, asked, ANSWERS), Add(vector)).kl
    assert measure(model, job, "cost", [Add(vector)]) == pytest.approx(expected, abs=1e-6)
    assert min(expected) > 0
    answers = generate(model, asked, Add(vector), max_new_tokens=3, progress=False)
    expected = begins_as(answers, ["w10"]).begins
    assert measure(model, job, "answers", [Add(vector)]) == list(map(float, expected))


def test_a_clamp_is_measured_as_a_clamp(made):
    model, job, vector = made
    found = measure(model, job, "held-out", [acting(vector, "clamp", 1.5)])
    expected = log_prob(model, QUESTIONS, [" w10 w11"] * 3, [Clamp(vector, 1.5)]).mean
    assert found == pytest.approx(expected.tolist(), abs=1e-5)
    other = measure(model, job, "held-out", [acting(vector, "add", 1.5)])
    assert found != pytest.approx(other, abs=1e-5)


def test_what_is_kept_serves_only_what_it_was_made_for(made, folder):
    """One meter over jobs of several layers and completions equals a new one for each."""
    model, _, vector = made
    measures = {"held-out": {"measure": "log-prob", "prompts": QUESTIONS}}
    study = Study.from_dict(
        declared(folder, methods={"adam": {}}, seeds=[0], layers=[1, 2], measures=measures)
    )
    shared = Meter(model)
    asked = measures["held-out"]
    for job in study.jobs:
        alone = Meter(model)
        late = [acting(type(vector)(vector.values, job.layer), "add", 1.0)]
        for steering in (late, ()):
            ours = shared.measure(asked, job, steering, str)
            assert ours == pytest.approx(alone.measure(asked, job, steering, str), abs=1e-6)
        assert shared.unsteered(asked, job, str) == alone.unsteered(asked, job, str)
    assert len({tuple(shared.unsteered(asked, job, str)) for job in study.jobs}) > 1


def test_without_completions_kl_is_on_the_models_own_answers(made):
    model, job, vector = made
    asked = {"measure": "kl", "prompts": ["w1", "w2 w3"], "max_new_tokens": 4}
    prompts = [chat(model, prompt) for prompt in asked["prompts"]]
    said = generate(model, prompts, max_new_tokens=4, min_new_tokens=4, progress=False)
    expected = cost(model, Reference.of(model, prompts, said), Add(vector)).kl
    found = Meter(model).measure(asked, job, [Add(vector)], lambda text: chat(model, text))
    assert found == pytest.approx(expected, abs=1e-6)
    assert Meter(model).unsteered(asked, job, str) == [0.0, 0.0]
