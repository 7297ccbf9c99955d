"""Every executor gives the same records; a worker that dies costs time and nothing else."""

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool

import pytest
import torch

from tests.runs.conftest import declared, results
from workbench.models import load_model
from workbench.runs import Processes, Study, StudyFolder, ThisProcess, run_study
from workbench.runs import executors as module
from workbench.runs.executors import MOST_DEATHS, Waiting
from workbench.runs.worker import Setup


def test_several_processes_equal_this_one_to_the_bit(study, tmp_path):
    run_study(study, tmp_path / "a", ThisProcess(threads=1), progress=False)
    found = run_study(study, tmp_path / "b", Processes(2, threads=1), progress=False)
    assert found.complete
    a, b = StudyFolder.at(tmp_path / "a"), StudyFolder.at(tmp_path / "b")
    assert results(a) == results(b)
    assert len(b.log.read_bytes().splitlines()) == len(study.jobs)
    for job in study.jobs:
        assert torch.equal(a.vector(job.id).values, b.vector(job.id).values)
    workers = {record["run"]["worker"] for record in b.records().values()}
    assert all(str(os.getpid()) not in worker for worker in workers)


@pytest.mark.slow
def test_a_killed_worker_is_replaced_and_its_pack_done_again(study, tmp_path):
    """The first outcomes name a process of the pool: it is killed while others are left."""
    executor, killed = Processes(2, threads=1), []

    class Killing:
        name = "killing"

        def run(self, packs, setup):
            for outcomes in executor.run(packs, setup):
                if len(killed) < 2:
                    worker = int(outcomes[0].record["run"]["worker"].rpartition(":")[2])
                    os.kill(worker, signal.SIGKILL)
                    killed.append(worker)
                yield outcomes

    found = run_study(study, tmp_path / "run", Killing(), progress=False)
    assert found.complete
    assert len(killed) == 2
    folder = StudyFolder.at(tmp_path / "run")
    assert len(folder.log.read_bytes().splitlines()) == len(study.jobs)


def test_a_pack_that_kills_is_tried_whole_then_job_by_job_then_given_up(study):
    pack = study.packs()[0]
    waiting = Waiting.of([pack])
    assert waiting.died(*waiting.take()) == []
    assert list(waiting.packs) == [(pack, 1)]
    assert waiting.died(*waiting.take()) == []
    assert list(waiting.packs) == [((job,), 0) for job in pack]
    one, _ = waiting.take()
    for deaths in range(MOST_DEATHS - 1):
        assert waiting.died(one, deaths) == []
    (outcome,) = waiting.died(one, MOST_DEATHS - 1)
    assert outcome.record["state"] == "failed"
    assert "died 3 times over this job" in outcome.record["error"]


def test_a_model_that_is_not_there_is_told_in_words(tmp_path, folder):
    study = Study.from_dict(declared(folder, model={"name": "no-such-model"}))
    for executor in (ThisProcess(), Processes(1)):
        with pytest.raises(ValueError, match="'no-such-model' is not a known name"):
            run_study(study, tmp_path / executor.name, executor, progress=False)
    with pytest.raises(ValueError, match="1 or more"):
        Processes(0)


def test_a_model_in_hand_must_be_the_declared_one(study, folder, tiny, tmp_path):
    with pytest.raises(ValueError, match="model of name 'my-tiny-model', the one given has"):
        run_study(study, tmp_path / "a", ThisProcess(tiny), progress=False)
    other = load_model(str(folder), dtype="bfloat16")
    with pytest.raises(ValueError, match="dtype 'float32', the one given has 'bfloat16'"):
        run_study(study, tmp_path / "a", ThisProcess(other), progress=False)
    found = run_study(study, tmp_path / "a", ThisProcess(load_model(str(folder))), progress=False)
    assert found.complete


def test_workers_that_do_nothing_but_die_are_told(study, monkeypatch):
    class Dying(ThreadPoolExecutor):
        def __init__(self, count, **options):
            super().__init__(count)

        def submit(self, *args):
            raise BrokenProcessPool

    monkeypatch.setattr(module, "ProcessPoolExecutor", Dying)
    with pytest.raises(RuntimeError, match="died 7 times in a row"):
        list(Processes(1).run(study.packs(), Setup(study.jobs[0].model)))
