"""What a crash, a disk or a second process does to a folder, and what is then done again."""

import json
import subprocess
import sys

import pytest

from tests.runs.conftest import declared, results
from workbench.runs import Study, StudyFolder, run_study, status
from workbench.runs import folder as module
from workbench.runs.records import read_records


class Counting:
    """This process, which counts the jobs it does."""

    name = "counting"

    def __init__(self, model):
        self.model, self.done = model, []

    def run(self, packs, setup):
        from workbench.runs import ThisProcess

        for pack in packs:
            self.done += [job.id for job in pack]
            yield from ThisProcess(self.model).run([pack], setup)


@pytest.fixture
def small(folder):
    """A study of four jobs, without measures."""
    return Study.from_dict(
        declared(folder, methods={"adam": {"steps": 1}}, seeds=[0], measures={}, pack=2)
    )


@pytest.fixture
def done(small, tmp_path):
    """Its folder, finished."""
    assert run_study(small, tmp_path / "run", progress=False).complete
    return StudyFolder.at(tmp_path / "run")


def again(study, folder):
    """Run it again; the ids of the jobs that were done."""
    counting = Counting(None)
    assert run_study(study, folder.path, counting, progress=False).complete
    return counting.done


def test_finished_jobs_are_never_done_again(small, done):
    before = done.log.read_bytes()
    assert again(small, done) == []
    assert done.log.read_bytes() == before
    assert len(done.sessions()) == 2
    assert done.sessions()[0]["versions"]["torch"]


def test_a_study_that_has_grown_goes_on(folder, small, done):
    grown = Study.from_dict({**small.to_dict(), "layers": [1, 2, 3]})
    assert len(again(grown, done)) == 2
    assert done.study().to_dict() == grown.to_dict()


def test_a_study_with_other_settings_is_refused(small, done):
    other = Study.from_dict({**small.to_dict(), "methods": {"adam": {"steps": 2}}})
    with pytest.raises(ValueError, match="4 finished jobs that this study does not declare"):
        run_study(other, done.path, progress=False)
    assert done.study().to_dict() == small.to_dict()
    assert not done.running()


@pytest.mark.parametrize("keep", [0, 1, 300, -1])
def test_a_torn_end_costs_what_is_torn(small, done, keep):
    before = results(done)
    lines = done.log.read_bytes().splitlines(keepends=True)
    done.log.write_bytes(b"".join(lines[:2]) + lines[2][:keep])
    assert len(done.records()) == 2
    assert sorted(again(small, done)) == sorted(set(before) - set(list(before)[:2]))
    assert results(done) == before
    assert read_records(done.log).damaged == ()


def test_a_flipped_bit_costs_its_job_which_is_done_again(small, done):
    before = results(done)
    content = bytearray(done.log.read_bytes())
    content[len(content) // 3] ^= 4
    done.log.write_bytes(content)
    with pytest.warns(UserWarning, match="damaged, or whose files were: 1"):
        assert len(again(small, done)) == 1
    assert {job_id: found[0] for job_id, found in results(done).items()} == dict.fromkeys(
        before, "done"
    )
    assert len(read_records(done.log).held) == 4
    assert (done.path / "jobs.damaged").stat().st_size > 100
    assert again(small, done) == []


@pytest.mark.parametrize("harm", ["gone", "flipped", "another's"])
def test_a_vector_that_is_not_what_was_made_is_made_again(small, done, harm):
    ids = list(done.records())
    before, path = done.vector(ids[1]).values, done.vector_path(ids[1])
    if harm == "gone":
        path.unlink()
    elif harm == "flipped":
        content = bytearray(path.read_bytes())
        content[-1] ^= 1
        path.write_bytes(content)
    else:
        path.write_bytes(done.vector_path(ids[0]).read_bytes())
    with pytest.warns(UserWarning, match="whose files were: 1"):
        assert again(small, done) == [ids[1]]
    assert done.vector(ids[1]).values.allclose(before, atol=1e-4)


def test_a_power_cut_before_the_record_leaves_a_vector_that_is_written_over(small, done):
    lines = done.log.read_bytes().splitlines(keepends=True)
    done.log.write_bytes(b"".join(lines[:3]))  # the vectors of all four are there
    (done.path / "vectors" / ".x.safetensors.abc.part").write_bytes(b"half")
    assert len(again(small, done)) == 1
    assert len(list((done.path / "vectors").iterdir())) == 4


LOCKED = """
import sys, time
from workbench.runs import StudyFolder, read_study
folder = StudyFolder.at(sys.argv[1])
with folder.writing(folder.study(), {"host": "here", "process": 7}):
    print("locked", flush=True)
    time.sleep(600)
"""


def test_two_processes_are_locked_out_and_the_lock_dies_with_its_process(small, done, monkeypatch):
    monkeypatch.setattr(module, "_WAIT_SECONDS", 0.2)
    holder = subprocess.Popen(
        [sys.executable, "-c", LOCKED, str(done.path)], stdout=subprocess.PIPE
    )
    try:
        assert holder.stdout.readline() == b"locked\n"
        assert done.running()
        assert status(done).running
        with pytest.raises(ValueError, match=r"another process is running .*\(here, process 7\)"):
            run_study(small, done.path, progress=False)
    finally:
        holder.kill()
        holder.wait()
    assert not done.running()
    assert again(small, done) == []


def test_a_folder_without_a_study_and_a_damaged_environment(small, done, tmp_path):
    with pytest.raises(FileNotFoundError, match="no study's folder"):
        StudyFolder.at(tmp_path)
    (done.path / "environment.json").write_text("[{", encoding="utf-8")
    assert done.sessions() == []
    assert again(small, done) == []
    assert len(json.loads((done.path / "environment.json").read_text())) == 1
