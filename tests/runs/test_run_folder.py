"""Steps are done once, what is there is whole, and what a crash or a disk did is done again."""

import signal
import subprocess
import sys
import time
from contextlib import suppress
from itertools import product

import pandas as pd
import pytest
import torch

from tests.runs.conftest import declared
from workbench.runs import RunFolder, Study, StudyFolder, folder_at, run_study, status
from workbench.runs import folder as module
from workbench.runs.records import read_records
from workbench.steering import SteeringVector

FRAME = pd.DataFrame(
    {
        "text": ["a\nb", 'say "NA"', "", "</script>é"],
        "rate": [0.1, 1 / 3, 1e-9, 1.0],
        "n": [1, 2, 3, 4],
        "right": [True, False, True, True],
        "phrase": [None, "x", None, "1"],
    }
)


def never():
    raise AssertionError("this step is finished")


def vectors(n=3):
    torch.manual_seed(0)
    return [SteeringVector(torch.randn(8), i, label=f"v {9 - i}") for i in range(n)]


@pytest.fixture
def done(tmp_path):
    """A folder with a table and vectors."""
    with RunFolder(tmp_path / "run", {"layer": 3}) as run:
        run.table("rates", lambda: FRAME)
        run.vectors("rates", vectors)
    return run


def test_a_table_is_made_once_and_reads_as_it_was_made(tmp_path):
    with RunFolder(tmp_path / "run", {"layer": 3}) as run:
        made = run.table("rates", lambda: FRAME)
        same = run.table("rates", never)
    with RunFolder(tmp_path / "run", {"layer": 3}) as run:
        again = run.table("rates", never)
    pd.testing.assert_frame_equal(made, again)
    pd.testing.assert_frame_equal(same, again)
    pd.testing.assert_frame_equal(again, FRAME)
    assert len(read_records(run.log).held) == 1


def test_vectors_are_made_once_with_their_order_labels_and_values(done):
    with done:
        again = done.vectors("rates", never)
    for found in (again, done.vectors_of("rates")):
        assert [v.label for v in found] == ["v 9", "v 8", "v 7"]
        assert [v.layer for v in found] == [0, 1, 2]
        torch.testing.assert_close(found.stack(), torch.stack([v.values for v in vectors()]))


def test_a_step_has_a_record_with_its_state_seconds_and_hashes(done):
    table, made = read_records(done.log).held
    assert table["job"] == {"step": "rates", "kind": "table"}
    assert made["job"] == {"step": "rates", "kind": "vectors"}
    assert table["id"] != made["id"]
    for record, count in ((table, 1), (made, 3)):
        assert record["state"] == "done"
        assert record["run"]["seconds"] >= 0
        assert len(record["files"]) == count
        for name, sha256 in record["files"].items():
            assert module.sha256_of(done.path / name) == sha256
    with RunFolder(done.path.parent / "other", {"layer": 4}) as other:
        other.table("rates", lambda: FRAME)
    assert other.records().keys().isdisjoint(done.records())


def test_a_step_that_fails_is_told_and_done_again(tmp_path):
    def some():
        yield SteeringVector(torch.ones(4), 0)
        raise RuntimeError("no memory")

    with RunFolder(tmp_path, {}) as run:
        with pytest.raises(RuntimeError, match="no memory"):
            run.vectors("some", some)
        with pytest.raises(RuntimeError, match="no memory"):
            run.table("some", lambda: pd.DataFrame({"a": [1 for _ in some()]}))
        assert not list(tmp_path.rglob("*.part"))
        assert run.status().errors == ("RuntimeError: no memory",)
        assert len(run.vectors("some", vectors)) == 3
    assert list(run.status().to_frame()["state"]) == ["done", "failed"]
    assert "1 step is done, 1 failed; it came to its end" in run.status().sentence()


def test_outside_of_its_block_nothing_is_made(tmp_path):
    run = RunFolder(tmp_path, {})
    with pytest.raises(RuntimeError, match="not open for writing: `with RunFolder"):
        run.table("rates", lambda: FRAME)
    with run, suppress(KeyError):
        raise KeyError
    with pytest.raises(RuntimeError, match="not open for writing"):
        run.table("rates", lambda: FRAME)


def test_a_folder_serves_no_other_settings(tmp_path):
    settings = {"layer": 3, "norm": 1.5, "seed": None}
    with RunFolder(tmp_path, settings) as run:
        run.table("rates", lambda: FRAME)
    same = {"norm": 1.5, "layer": 3.0}  # in another order, and None is what is not there
    with RunFolder(tmp_path, same) as run:
        run.table("rates", never)
    names = ("jobs.jsonl", "study.toml", "environment.json")
    before = [(tmp_path / name).read_bytes() for name in names]
    with pytest.raises(ValueError, match=r"other settings \(layer, seed\): choose another folder"):
        RunFolder(tmp_path, {"layer": 4, "norm": 1.5, "seed": 1}).__enter__()
    assert [(tmp_path / name).read_bytes() for name in names] == before
    (tmp_path / "study.toml").write_text("[", encoding="utf-8")  # the ids know the settings
    with pytest.raises(ValueError, match="other settings"):
        RunFolder(tmp_path, {"layer": 4}).__enter__()
    with RunFolder(tmp_path, settings) as run:
        run.table("rates", never)
    assert RunFolder.at(tmp_path).settings == {"layer": 3, "norm": 1.5}


@pytest.mark.parametrize("settings", [{"a": {1, 2}}, {"a": [1, None]}, {"a": float("nan")}])
def test_settings_are_plain_data(tmp_path, settings):
    with pytest.raises(ValueError, match=r"texts, numbers|cannot hold None|not JSON compliant"):
        RunFolder(tmp_path, settings)


@pytest.mark.parametrize(
    ("name", "harm"),
    [
        ("jobs.jsonl", "flipped"),
        *product(
            ["tables/rates.jsonl", "vectors/rates/001_v-8.safetensors"],
            ["gone", "flipped", "short"],
        ),
    ],
)
def test_a_damaged_step_is_warned_of_and_done_again(done, name, harm):
    path = done.path / name
    content = bytearray(path.read_bytes())
    content[len(content) // 4] ^= 1
    if harm == "gone":
        path.unlink()
    else:
        path.write_bytes(content if harm == "flipped" else content[:-20])
    told = "line 1" if name == "jobs.jsonl" else name
    made = []
    with pytest.warns(UserWarning, match=rf"damaged.*: 1 \({told}\).*done again"):
        done.__enter__()
    try:
        table = done.table("rates", lambda: made.append("table") or FRAME)
        done.vectors("rates", lambda: made.append("vectors") or vectors())
    finally:
        done.__exit__(None, None, None)
    assert made == ["vectors" if name.startswith("vectors") else "table"]
    pd.testing.assert_frame_equal(table, FRAME)
    assert (done.path / "jobs.damaged").stat().st_size > 100
    with done:
        done.table("rates", never)
        assert len(done.vectors("rates", never)) == 3


def test_what_a_crash_left_is_cleared_away(done):
    log = done.log.read_bytes().splitlines(keepends=True)
    done.log.write_bytes(log[0] + log[1][:70])  # the vectors are there, their record is torn
    for name in ("tables/.rates.jsonl.x.part", "vectors/.rates.y.part/000_v.safetensors"):
        (done.path / name).parent.mkdir(exist_ok=True)
        (done.path / name).write_bytes(b"half")
    stranger = vectors(1)[0].save(done.path / "vectors" / "rates" / "009_old.safetensors")
    with done:
        done.table("rates", never)
        assert len(done.vectors("rates", vectors)) == 3
    assert not stranger.exists()
    assert not list(done.path.rglob("*.part"))
    assert read_records(done.log).torn == 0


PROGRAM = """
import sys, time
import pandas as pd, torch
from workbench.runs import RunFolder
from workbench.steering import SteeringVector

with RunFolder(sys.argv[1], {"steps": 6}) as run:
    for i in range(6):
        made = run.vectors(f"made {i}", lambda: [SteeringVector(torch.ones(8) + i, i)])
        time.sleep(float(sys.argv[2]))
        run.table(f"found {i}", lambda: pd.DataFrame({"n": [i, float(made[0].values.sum())]}))
        print(i, flush=True)
"""


def begin(path, pause=0.0):
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(path), str(pause)], stdout=subprocess.PIPE
    )


def test_a_program_that_is_killed_goes_on_and_a_second_one_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_WAIT_SECONDS", 0.2)
    process = begin(tmp_path, 0.05)
    try:
        assert process.stdout.readline() == b"0\n"
        assert process.stdout.readline() == b"1\n"
        held = RunFolder.at(tmp_path)
        assert held.running()
        assert "a process is at work on it" in status(held).sentence()
        with pytest.raises(ValueError, match=rf"another process is running.*{process.pid}\)"):
            RunFolder(tmp_path, {"steps": 6}).__enter__()
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert not held.running()
    assert "did not come to its end" in held.status().sentence()
    before = read_records(held.log).held
    assert 4 <= len(before) < 12
    assert begin(tmp_path).wait(timeout=100) == 0
    after = read_records(held.log)
    assert (after.damaged, after.torn) == ((), 0)
    assert after.held[: len(before)] == before  # what was done is not done again
    assert len({record["id"] for record in after.held}) == len(after.held) == 12
    assert [list(held.tables()[f"found {i}"]["n"]) for i in range(6)] == [
        [i, 8 + 8 * i] for i in range(6)
    ]
    assert "12 steps are done; it came to its end" in held.status().sentence()
    assert len(held.sessions()) == 2


@pytest.mark.slow
def test_killed_at_any_moment_it_ends_as_one_that_was_not(tmp_path):
    held, kills = RunFolder(tmp_path / "killed", {}), 0
    while kills < 12:
        process = begin(held.path, 0.1)
        grown = held.log.stat().st_size if held.log.exists() else 0
        while process.poll() is None and (
            not held.log.exists() or held.log.stat().st_size == grown
        ):
            time.sleep(0.001)
        if process.poll() is not None:
            break
        time.sleep(0.003 * kills)
        process.send_signal(signal.SIGKILL)
        process.wait()
        kills += 1
    assert kills >= 6
    assert begin(held.path).wait(timeout=100) == 0
    assert begin(tmp_path / "whole").wait(timeout=100) == 0
    whole = RunFolder.at(tmp_path / "whole").records()
    assert held.records().keys() == whole.keys()
    assert len(read_records(held.log).held) == 12
    for job_id, record in held.records().items():
        if record["job"]["kind"] == "table":
            assert record["files"] == whole[job_id]["files"]


def test_a_study_and_a_program_do_not_share_a_folder(folder, done, tmp_path):
    study = Study.from_dict(declared(folder, methods={"random": {"maker": "random"}}))
    before = done.log.read_bytes()
    with pytest.raises(ValueError, match="is the folder of a program"):
        run_study(study, done.path, progress=False)
    assert done.log.read_bytes() == before
    with pytest.raises(FileNotFoundError, match="no study's folder"):
        StudyFolder.at(done.path)
    run_study(study, tmp_path / "study", progress=False)
    with pytest.raises(ValueError, match="is the folder of a study"):
        RunFolder(tmp_path / "study", {}).__enter__()
    with pytest.raises(FileNotFoundError, match="no program's folder"):
        RunFolder.at(tmp_path / "study")
    assert isinstance(folder_at(done.path), RunFolder)
    assert isinstance(folder_at(tmp_path / "study"), StudyFolder)
    with pytest.raises(FileNotFoundError, match="no study's folder"):
        folder_at(tmp_path)


def test_a_step_is_shown_by_its_name_or_its_id(done):
    pd.testing.assert_frame_equal(done.shown("rates"), FRAME)
    made = read_records(done.log).held[1]
    assert list(done.shown(made["id"][:8])["label"]) == ["v 9", "v 8", "v 7"]
    with pytest.raises(ValueError, match="no finished step 'x'; finished: rates"):
        done.shown("x")


def test_an_empty_table_reads_as_one(tmp_path):
    with RunFolder(tmp_path, {}) as run:
        assert run.table("none", pd.DataFrame).empty
