"""A study is done once, whatever happens to it, and says what it always says."""

import torch

from tests.runs.conftest import results
from workbench.runs import StudyFolder, run_study


def test_every_job_is_done_once_and_again_to_the_bit(study, tmp_path):
    first = run_study(study, tmp_path / "a", progress=False)
    assert first.complete, first.errors
    assert first.jobs == {"adam": 8, "lbfgs": 8, "gradient": 4, "random": 8, "contrast": 2}
    a, b = StudyFolder.at(tmp_path / "a"), StudyFolder(tmp_path / "b")
    assert len(a.log.read_bytes().splitlines()) == len(study.jobs)
    run_study(study, b.path, progress=False)
    assert results(a) == results(b)
    for job in study.jobs:
        one, other = a.vector(job.id), b.vector(job.id)
        assert torch.equal(one.values, other.values)
        assert (one.label, one.layer) == (job.label, job.layer)
