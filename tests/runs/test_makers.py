"""Each maker gives what its method gives."""

import pytest
import torch

from tests.runs.conftest import declared
from workbench.methods import Example, gradient_direction, mean_difference, optimize
from workbench.models import chat, load_model
from workbench.runs import Study
from workbench.runs.makers import MAKERS, one_shot_job
from workbench.steering import Positions


@pytest.fixture
def model(folder):
    return load_model(str(folder))


def job_of(folder, method, **changes):
    study = Study.from_dict(declared(folder, methods={"it": method}, seeds=[3], **changes))
    return study.jobs[0]


def made(model, job, chat=str):
    (vector,) = MAKERS[job.maker].make(model, [job], chat, 64)
    return vector


def test_one_shot_is_optimize(folder, model):
    job = job_of(folder, {"steps": 3, "learning_rate": 0.5, "noise": {"scale": 0.1}})
    vector = made(model, job)
    example = Example("w1 w2 w3", promote=[" w10 w11"])
    settings = {"steps": 3, "learning_rate": 0.5, "seed": 3, "noise": one_shot_job(job).noise}
    run = optimize(model, example, 1, progress=False, **settings)
    torch.testing.assert_close(vector.values, run.vector.values)
    assert vector.provenance.results["token_budget"] == 64


def test_positions_and_chat_are_passed_on(folder, model):
    last = Positions.last(1).to_dict()
    text = {"prompt": "w1 w2 w3", "promote": [" w10"], "positions": last}
    job = job_of(folder, {"steps": 1, "positions": last}, examples={"a": text})
    asked = one_shot_job(job, lambda prompt: chat(model, prompt))
    assert str(asked.positions) == str(asked.examples[0].positions) == str(Positions.last(1))
    assert asked.examples[0].prompt == chat(model, "w1 w2 w3")


def test_gradient_and_contrast_are_their_methods_at_the_norm_asked_for(folder, model):
    vector = made(model, job_of(folder, {"maker": "gradient", "norm": 2.0}))
    expected = gradient_direction(model, Example("w1 w2 w3", promote=[" w10 w11"]), 1, norm=2.0)
    torch.testing.assert_close(vector.values, expected.values)
    pair = {"positive": ["w1 w2", "w3"], "negative": ["w4", "w5 w6"]}
    for norm in (None, 2.0):
        method = {"maker": "mean-difference", **({} if norm is None else {"norm": norm})}
        vector = made(model, job_of(folder, method, examples={"a": pair}))
        (expected,) = mean_difference(model, pair["positive"], pair["negative"], layers=[1])
        assert vector.cosine(expected) == pytest.approx(1.0)
        assert vector.norm == pytest.approx(norm or expected.norm)
        assert vector.label == "it, a, layer 1, seed 3"


def test_random_vectors_have_the_norm_and_differ_by_seed(folder, model):
    method = {"maker": "random", "norm": 5.0}
    jobs = Study.from_dict(declared(folder, methods={"it": method})).jobs
    vectors = MAKERS["random"].make(model, jobs, str, None)
    assert [v.norm for v in vectors] == pytest.approx([5.0] * len(jobs))
    by_seed = {job.seed: v for job, v in zip(jobs, vectors, strict=True)}
    assert abs(by_seed[0].cosine(by_seed[1])) < 0.6
    vectors[0].check_model(model)
