"""A pack's jobs do not spoil each other, and a failure is a record in words."""

import pytest

from tests.runs.conftest import declared
from workbench.methods.one_shot import optimize_batch
from workbench.runs import Study
from workbench.runs import makers as makers_module
from workbench.runs.measures import Meter
from workbench.runs.worker import Setup, Worker


@pytest.fixture
def worker(folder):
    return Worker(Setup({"name": str(folder)}, chat=False, token_budget=64))


def test_one_job_that_fails_leaves_the_others(folder, worker):
    study = Study.from_dict(declared(folder, methods={"adam": {"steps": 1}}, layers=[1, 9]))
    good, bad = study.jobs[0], next(job for job in study.jobs if job.layer == 9)
    outcomes = worker.run([good, bad])
    assert [each.record["state"] for each in outcomes] == ["done", "failed"]
    assert "layer 9" in outcomes[1].record["error"]
    assert outcomes[1].vector is None
    assert outcomes[0].vector


def test_a_measure_that_fails_fails_its_job_only(folder, worker):
    long = {"m": {"measure": "kl", "prompts": ["w1 " * 200], "max_new_tokens": 4}}
    study = Study.from_dict(declared(folder, methods={"adam": {"steps": 1}}, measures=long))
    (outcome,) = worker.run(study.jobs[:1])
    assert outcome.record["state"] == "failed"
    assert "context" in outcome.record["error"]


def test_ctrl_c_makes_no_records(folder, worker, monkeypatch):
    study = Study.from_dict(declared(folder, methods={"adam": {"steps": 3}}))

    def interrupted(model, jobs, **options):
        def stop(descent):
            if len(descent.history) == 2:
                raise KeyboardInterrupt

        return optimize_batch(model, jobs, callback=stop, **options)

    monkeypatch.setattr(makers_module, "optimize_batch", interrupted)
    with pytest.warns(UserWarning, match="interrupted"), pytest.raises(KeyboardInterrupt):
        worker.run(study.jobs[:2])


def test_numbers_that_json_does_not_know_are_none(folder, worker, monkeypatch):
    study = Study.from_dict(declared(folder, methods={"random": {"maker": "random"}}))
    monkeypatch.setattr(Meter, "measure", lambda *args: [float("nan"), 1.0])
    (outcome,) = worker.run(study.jobs[:1])
    assert outcome.record["result"]["measures"][0]["values"] == [None, 1.0]


def test_the_model_is_loaded_as_declared_and_left_as_it_was(folder, worker):
    study = Study.from_dict(declared(folder))
    before = {name: p.clone() for name, p in worker.model.named_parameters()}
    for pack in study.packs()[:3]:
        worker.run(pack)
    assert all(p.equal(before[name]) for name, p in worker.model.named_parameters())
    other = Worker(Setup({"name": str(folder), "dtype": "bfloat16"}), None)
    assert str(next(other.model.parameters()).dtype) == "torch.bfloat16"
