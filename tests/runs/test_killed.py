"""SIGKILL at any moment: going on ends with every record once, equal to a run that was left alone.

The moments are spread over a run's whole life, the first while it still loads and locks.
"""

import os
import random
import signal
import subprocess
import sys
import time

import pytest

from tests.runs.conftest import declared, equal
from workbench.runs import Study, StudyFolder, ThisProcess, run_study
from workbench.runs.records import read_records

PROGRAM = """
import sys
from workbench.runs import Processes, ThisProcess, read_study, run_study
workers = int(sys.argv[3])
executor = Processes(workers, threads=1) if workers else ThisProcess(threads=1)
run_study(read_study(sys.argv[1]), sys.argv[2], executor, progress=False)
"""


def begin(declaration, path, workers=0):
    return subprocess.Popen([sys.executable, "-c", PROGRAM, declaration, path, str(workers)])


@pytest.mark.slow
def test_a_run_killed_again_and_again_ends_as_one_that_was_not(folder, tmp_path):
    """Kills come when the file of records has just grown by some bytes: in the middle of work."""
    study = Study.from_dict(declared(folder, seeds=list(range(4))))
    declaration = tmp_path / "study.toml"
    declaration.write_text(study.to_toml(), encoding="utf-8")
    kept, draw, kills = StudyFolder(tmp_path / "killed"), random.Random(0), 0
    begun: set[str] = set()
    while len(begun) < len(study.jobs):
        process = begin(str(declaration), str(kept.path))
        if kills < 6:
            grown = kept.log.stat().st_size if kept.log.exists() else 0
            while process.poll() is None and (
                not kept.log.exists() or kept.log.stat().st_size == grown
            ):
                time.sleep(0.002)
            time.sleep(draw.uniform(0, 0.4))
            process.send_signal(signal.SIGKILL)
            kills += 1
        process.wait(timeout=200)
        read = read_records(kept.log)
        now = {record["id"] for record in read.held}
        assert not read.damaged
        assert begun <= now  # nothing that was there is lost
        assert all(kept.vector_path(job_id).is_file() for job_id in now)
        begun = now
    run_study(study, tmp_path / "whole", ThisProcess(threads=1), progress=False)
    assert kills >= 3
    assert len(read_records(kept.log).held) == len(study.jobs)
    equal(kept, StudyFolder.at(tmp_path / "whole"))


@pytest.mark.slow
@pytest.mark.skipif(not os.path.isdir("/proc"), reason="reads the list of processes")
def test_workers_end_with_the_process_that_started_them(folder, tmp_path):
    study = Study.from_dict(declared(folder, seeds=list(range(40))))
    declaration = tmp_path / "study.toml"
    declaration.write_text(study.to_toml(), encoding="utf-8")
    kept = StudyFolder(tmp_path / "run")
    process = begin(str(declaration), str(kept.path), workers=1)
    while process.poll() is None and not kept.records():
        time.sleep(0.05)
    workers = {int(r["run"]["worker"].rpartition(":")[2]) for r in kept.records().values()}
    assert workers
    process.kill()
    process.wait()
    until = time.monotonic() + 10
    while any(map(_alive, workers)) and time.monotonic() < until:
        time.sleep(0.1)
    assert not any(map(_alive, workers))
    assert not kept.running()


def _alive(process: int) -> bool:
    try:
        with open(f"/proc/{process}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
