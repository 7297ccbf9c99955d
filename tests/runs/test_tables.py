"""Tables say what the records say, in pandas, in Parquet and in SQL."""

import pandas as pd
import pytest

from tests.runs.conftest import declared
from workbench.runs import Study, StudyFolder, run_study
from workbench.runs.tables import jobs_frame, measures_frame, query, summary_frame, write_tables

pytest.importorskip("pyarrow")
pytest.importorskip("duckdb")


@pytest.fixture
def done(folder, tmp_path):
    """A folder of six jobs: two of them fail, for there is no layer 9."""
    study = Study.from_dict(
        declared(folder, methods={"adam": {"steps": 1}}, seeds=[0], layers=[1, 2, 9])
    )
    assert run_study(study, tmp_path / "run", progress=False).left == 2
    return StudyFolder.at(tmp_path / "run")


def test_frames_parquet_and_sql_agree(done):
    records = list(done.records().values())
    jobs, measures = jobs_frame(records), measures_frame(records)
    assert list(jobs["state"].value_counts().items()) == [("done", 4), ("failed", 2)]
    assert jobs.loc[jobs["state"] == "failed", "error"].str.contains("9").all()
    assert len(measures) == 4 * 2 * (3 + 2 + 2)  # jobs, scales, prompts
    for name, frame in {"jobs": jobs, "measures": measures}.items():
        read = pd.read_parquet(done.path / "tables" / f"{name}.parquet")
        pd.testing.assert_frame_equal(read, frame, check_dtype=False)
    found = query(done, "select layer, avg(value) v from measures where name='cost' group by layer")
    expected = measures[measures["name"] == "cost"].groupby("layer")["value"].mean()
    assert dict(zip(found["layer"], found["v"], strict=True)) == pytest.approx(expected.to_dict())
    with pytest.raises(ValueError, match="DuckDB says"):
        query(done, "select nothing from nowhere")


def test_summary_has_means_over_items(done):
    summary = summary_frame(done.records().values())
    measures = measures_frame(done.records().values())
    one = summary.iloc[0]
    own = measures[
        (measures["example"] == one["example"])
        & (measures["layer"] == one["layer"])
        & (measures["scale"] == one["scale"])
        & (measures["name"] == one["name"])
    ]
    assert one["mean"] == pytest.approx(own["value"].mean())
    assert (one["vectors"], one["n"]) == (1, len(own))


def test_an_empty_study_has_empty_tables(tmp_path):
    assert len(jobs_frame([])) == len(measures_frame([])) == len(summary_frame([])) == 0
    assert "loss" in jobs_frame([]).columns


def test_without_pyarrow_no_tables_are_written(done, monkeypatch):
    monkeypatch.setattr("workbench.runs.tables.find_spec", lambda name: None)
    assert write_tables(done) == []
