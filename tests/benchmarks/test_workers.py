"""The workers' benchmark, in this process and on a model too small to say anything about speed."""

import pytest

from benchmarks import workers
from benchmarks.setting import Setting
from tests.conftest import TL3
from workbench.runs import ThisProcess

pytestmark = pytest.mark.skipif(TL3, reason="studies load models through TransformerLens 4")


@pytest.fixture
def small(monkeypatch, folder):
    for name, value in {"MODEL": str(folder), "QUESTION": "w1 w2", "PROMOTED": " w3"}.items():
        monkeypatch.setattr(workers, name, value)
    monkeypatch.setattr(workers, "LAYERS", (1, 2))
    monkeypatch.setattr(workers.os, "cpu_count", lambda: 2)
    monkeypatch.setattr(workers, "find_spec", lambda name: name)
    monkeypatch.setattr(workers, "RayCluster", lambda *asked: ThisProcess(threads=1))
    return Setting({}, None, None, (), quick=True)


def test_rows_for_both_and_their_ratio(small):
    alone, apart, ratio, whole = workers.measure(small)
    assert alone.unit == apart.unit == "jobs/s"
    assert alone.case == "1 worker, 2 threads: 8 jobs in packs of 8, float32"
    assert ratio.value == pytest.approx(apart.value / alone.value)
    assert (ratio.bound, whole.bound) == (0.8, None)


def test_jobs_that_fail_are_no_measurement(small, monkeypatch):
    monkeypatch.setattr(workers, "LAYERS", (1, 9))
    with pytest.raises(RuntimeError, match=r"failed: .*layer"):
        workers.measure(small)


def test_one_core_measures_nothing(small, monkeypatch):
    monkeypatch.setattr(workers.os, "cpu_count", lambda: 1)
    (row,) = workers.measure(small)
    assert (row.value, row.met) == (None, None)
