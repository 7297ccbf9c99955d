"""A real Ray cluster of several nodes on this machine, one of which dies."""

import threading
import time

import pytest

from tests.runs.conftest import declared, equal, results
from workbench.runs import RayCluster, Study, StudyFolder, ThisProcess, run_study

ray = pytest.importorskip("ray")
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("ray")]


@pytest.fixture
def cluster():
    """Two nodes of one core each; the head is not the one that dies."""
    from ray.cluster_utils import Cluster

    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    second = made.add_node(num_cpus=1)
    made.wait_for_nodes()
    ray.init(address=made.address, log_to_driver=False)
    yield made, second
    ray.shutdown()
    made.shutdown()


def test_a_node_that_dies_costs_no_job(folder, cluster, tmp_path):
    study = Study.from_dict(declared(folder, seeds=list(range(6))))
    made, second = cluster
    killed = threading.Event()
    executor = RayCluster(workers=2)

    class Watched:
        """Kills the second node when both workers have done a pack, and waits until they have."""

        name = "watched"

        def run(self, packs, setup):
            seen = set()
            for outcomes in executor.run(packs, setup):
                seen.add(outcomes[0].record["run"]["worker"])
                if len(seen) == 2 and not killed.is_set():
                    made.remove_node(second, allow_graceful=False)
                    killed.set()
                elif not killed.is_set():
                    time.sleep(0.5)  # no pack is given out meanwhile: time for the later one
                yield outcomes

    begun = time.monotonic()
    found = run_study(study, tmp_path / "ray", Watched(), progress=False)
    assert killed.is_set()
    assert found.complete, found.errors
    ours = StudyFolder.at(tmp_path / "ray")
    assert len(ours.log.read_bytes().splitlines()) == len(study.jobs)
    run_study(study, tmp_path / "here", ThisProcess(threads=1), progress=False)
    equal(ours, StudyFolder.at(tmp_path / "here"))
    assert time.monotonic() - begun < 250


def test_no_room_for_a_worker_is_told(folder, cluster, tmp_path):
    study = Study.from_dict(declared(folder))
    with pytest.raises(RuntimeError, match="does a machine have 64 cores and 0 GPUs free"):
        run_study(study, tmp_path / "ray", RayCluster(threads=64, patience=1.0), progress=False)
    assert results(StudyFolder.at(tmp_path / "ray")) == {}
