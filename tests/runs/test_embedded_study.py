"""A study of 312 jobs on the embedded model: left alone, killed at 20 random moments, and on a Ray
cluster that loses a node. All three end with the same records.

A quarter of an hour on one core. What was found is printed.
"""

import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from threading import Timer

import pytest
import torch

from tests.conftest import TL3
from tests.runs.conftest import equal
from workbench.runs import RayCluster, StudyFolder, read_study, run_study
from workbench.runs.records import read_records

pytestmark = [
    pytest.mark.slow,
    pytest.mark.embedded,
    pytest.mark.xdist_group("ray"),
    pytest.mark.skipif(TL3, reason="studies load models through TransformerLens 4"),
]
DECLARATION = Path(__file__).with_name("embedded_study.toml")
KILLS = 20

# Writes down when a pack is begun and when it is made, so that one can tell what a kill met.
PROGRAM = """
import sys, time
from workbench.runs import ThisProcess, read_study, run_study
from workbench.runs.worker import Worker

def told(worker, jobs, run=Worker.run):
    with open(sys.argv[3], "a", buffering=1) as diary:
        diary.write(f"{time.time()} {len(jobs)}\\n")
        outcomes = run(worker, jobs)
        diary.write(f"{time.time()} 0\\n")
    return outcomes

Worker.run = told
run_study(read_study(sys.argv[1]), sys.argv[2], ThisProcess(threads=1), progress=False)
"""


def begin(folder):
    """A process that runs the study, or goes on with it."""
    diary = folder.path.with_suffix(".diary")
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(DECLARATION), str(folder.path), str(diary)]
    )


def diary_of(folder):
    """When packs were begun, with how many jobs, and made (0 jobs)."""
    path = folder.path.with_suffix(".diary")
    lines = path.read_text().splitlines() if path.exists() else []
    return [(float(when), int(jobs)) for when, jobs in map(str.split, lines)]


def figures(one, other):
    """How far the records of two folders are apart: jobs, equal packs, equal bits, losses."""
    ours, theirs = one.records(), other.records()
    same_pack, same_bits, apart = 0, 0, 0.0
    for job_id, record in ours.items():
        expected = theirs[job_id]
        bits = record["result"] == expected["result"] and torch.equal(
            one.vector(job_id).values, other.vector(job_id).values
        )
        same = all(
            record["run"][name] == expected["run"][name] for name in ("pack", "token_budget")
        )
        assert bits or not same
        same_pack, same_bits = same_pack + same, same_bits + bits
        loss = expected["result"]["loss"]
        apart = max(apart, abs(record["result"]["loss"] - loss) / max(loss, 0.5))
    return {
        "jobs": len(ours),
        "in equal packs": same_pack,
        "equal to the bit": same_bits,
        "largest difference of losses, of max(L, 0.5)": apart,
    }


def say(capsys, about, found):
    """Print what was found, past pytest."""
    with capsys.disabled():
        sys.stdout.write(f"\n{about}: {json.dumps(found)}\n")


def check_complete(folder):
    """Every job of the study has one record, and there is no other."""
    held = read_records(folder.log)
    assert not held.damaged
    assert sorted(record["id"] for record in held.held) == sorted(
        job.id for job in read_study(DECLARATION).jobs
    )


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The folder of a run that was left alone, when it was begun, and its seconds."""
    folder = StudyFolder(tmp_path_factory.mktemp("whole") / "run")
    begun = time.time()
    assert begin(folder).wait() == 0
    seconds = time.time() - begun
    check_complete(folder)
    return folder, begun, seconds


def moments_of(whole, draw):
    """Random moments of a run: how many packs were made by then, and the seconds since the last.

    Before the first pack is begun the packs are -1. The last two packs are left out, so that a
    machine that has become faster is not done before the last kill.
    """
    folder, begun, _ = whole
    diary = diary_of(folder)
    found = []
    for moment in sorted(draw.uniform(begun, diary[-5][0]) for _ in range(KILLS)):
        past = [(when, jobs) for when, jobs in diary if when <= moment]
        made = sum(jobs == 0 for _, jobs in past)
        found.append((made, moment - past[-1][0]) if past else (-1, moment - begun))
    return found


def wait_until(process, folder, packs, since):
    """Wait until so many packs are kept and the next is begun, and for as long as `since`."""
    jobs = sum(len(pack) for pack in read_study(DECLARATION).packs()[:packs])
    before = len(diary_of(folder))
    while packs >= 0 and process.poll() is None:
        diary = diary_of(folder)
        if len(diary) > before and diary[-1][1] and len(read_records(folder.log).held) >= jobs:
            break
        time.sleep(0.1)
    time.sleep(since)


def tear(folder):
    """Leave what a kill in the middle of a write leaves: half of a pack's records, the last torn.

    Returns the ids that are kept. No process is at work.
    """
    lines = folder.log.read_bytes().splitlines(keepends=True)
    folder.log.write_bytes(b"".join(lines[:-4]) + lines[-4][:100])
    return {record["id"] for record in read_records(folder.log).held}


def test_killed_at_twenty_random_moments_it_ends_as_if_it_was_not(whole, tmp_path, capsys):
    """The moments are spread evenly over the run's work; each time another process goes on.

    None falls within the milliseconds of a write, so that one is torn by hand: the jobs that are
    done again are then another pack, and equal within rounding.
    """
    expected, _, seconds = whole
    folder = StudyFolder(tmp_path / "run")
    met = {"starting": 0, "in a pack": 0, "between packs": 0}
    kept: set[str] = set()
    clock = time.monotonic()
    for number, (packs, since) in enumerate(moments_of(whole, random.Random(10))):
        before = len(diary_of(folder))
        process = begin(folder)
        wait_until(process, folder, packs, since)
        assert process.poll() is None  # it does not end by itself
        process.send_signal(signal.SIGKILL)
        process.wait()
        diary = diary_of(folder)
        at_work = len(diary) > before
        met["starting" if not at_work else "in a pack" if diary[-1][1] else "between packs"] += 1
        held = read_records(folder.log)
        now = {record["id"] for record in held.held}
        assert not held.damaged
        assert kept <= now  # nothing that was there is lost
        kept = tear(folder) if number == KILLS // 2 else now
    assert begin(folder).wait() == 0
    check_complete(folder)
    equal(folder, expected)
    jobs = len(folder.records())
    found = {
        "seconds left alone": round(seconds),
        "seconds with kills": round(time.monotonic() - clock),
        "kills": met,
        "finished at the last kill": len(kept),
        "jobs begun again": sum(count for _, count in diary_of(folder)) - jobs,
        **figures(folder, expected),
    }
    say(capsys, "killed", found)
    assert found["in equal packs"] < jobs  # the torn one
    assert sum(met.values()) == KILLS
    assert met["in a pack"] >= KILLS // 2


def test_on_two_ray_nodes_of_which_one_dies(whole, tmp_path, capsys):
    """The second node is killed a second after half of the jobs are done: in a pack."""
    ray = pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    expected = whole[0]
    study = read_study(DECLARATION)
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    second = cluster.add_node(num_cpus=1)
    cluster.wait_for_nodes()
    ray.init(address=cluster.address, log_to_driver=False)
    executor, done_by, killed_at = RayCluster(workers=2), {}, []

    class Watched:
        name = "watched"

        def run(self, packs, setup):
            for outcomes in executor.run(packs, setup):
                worker = outcomes[0].record["run"]["worker"]
                done_by[worker] = done_by.get(worker, 0) + len(outcomes)
                if (
                    not killed_at
                    and len(done_by) == 2
                    and sum(done_by.values()) > len(study.jobs) / 2
                ):
                    killed_at.append(sum(done_by.values()))
                    Timer(1.0, cluster.remove_node, (second, False)).start()
                yield outcomes

    clock = time.monotonic()
    try:
        state = run_study(study, tmp_path / "ray", Watched(), progress=False)
    finally:
        ray.shutdown()
        cluster.shutdown()
    assert killed_at
    assert state.complete, state.errors
    folder = StudyFolder.at(tmp_path / "ray")
    check_complete(folder)
    equal(folder, expected)
    found = {
        "seconds": round(time.monotonic() - clock),
        "finished when the node was killed": killed_at[0],
        "jobs by worker": sorted(done_by.values()),
        **figures(folder, expected),
    }
    say(capsys, "on Ray", found)
