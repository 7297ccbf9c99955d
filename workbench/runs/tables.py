"""A study's records as tables: frames for pandas, Parquet files for everything else."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pandas as pd

from workbench.files import written_whole
from workbench.runs.study_folder import StudyFolder

_NAMES = ("method", "example", "layer", "seed")
_RESULTS = ("loss", "norm", "step", "steps", "evaluations", "stopped")
_RUN = ("seconds", "pack", "token_budget", "worker", "finished")


def jobs_frame(records: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """One row a job that was tried.

    Columns: id, state, method, maker, example, layer, seed, loss (nats), norm, step, steps,
    evaluations, stopped, seconds, pack, token_budget, worker, finished, error.
    """
    columns = ("id", "state", "method", "maker", "example", "layer", "seed")
    rows = [
        {
            "id": record["id"],
            "state": record["state"],
            **record["job"],
            **{name: record.get("result", {}).get(name) for name in _RESULTS},
            **{name: record["run"].get(name) for name in _RUN},
            "error": record.get("error"),
        }
        for record in records
    ]
    return pd.DataFrame(rows, columns=[*columns, *_RESULTS, *_RUN, "error"])


def measures_frame(records: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """One row a finished job, scale, measure and item (a prompt, or a completion).

    Columns: id, method, example, layer, seed, scale, name, measure, item, value, unsteered.
    """
    rows = [
        {
            "id": record["id"],
            **{name: record["job"][name] for name in _NAMES},
            "scale": found["scale"],
            "name": found["name"],
            "measure": found["measure"],
            "item": item,
            "value": value,
            "unsteered": unsteered,
        }
        for record in records
        if record["state"] == "done"
        for found in record["result"]["measures"]
        for item, (value, unsteered) in enumerate(
            zip(found["values"], found["unsteered"], strict=True)
        )
    ]
    last = ["scale", "name", "measure", "item", "value", "unsteered"]
    return pd.DataFrame(rows, columns=["id", *_NAMES, *last])


def summary_frame(records: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """One row a method, example, layer, scale and measure: means over seeds and items.

    Columns: method, example, layer, scale, name, mean, unsteered, vectors, n (items).
    """
    by = ["method", "example", "layer", "scale", "name"]
    return (
        measures_frame(records)
        .astype({"value": float, "unsteered": float})
        .groupby(by, sort=True)
        .agg(
            mean=("value", "mean"),
            unsteered=("unsteered", "mean"),
            vectors=("id", "nunique"),
            n=("item", "nunique"),
        )
        .reset_index()
    )


def write_tables(folder: StudyFolder) -> list[Path]:
    """Write tables/jobs.parquet and tables/measures.parquet; none without the extra `studies`."""
    if find_spec("pyarrow") is None:
        return []
    records = list(folder.records().values())
    written = []
    for name, frame in {
        "jobs": jobs_frame(records),
        "measures": measures_frame(records),
    }.items():
        path = folder.path / "tables" / f"{name}.parquet"
        with written_whole(path) as part:
            frame.to_parquet(part, index=False)
        written.append(path)
    return written


def query(folder: StudyFolder, sql: str) -> pd.DataFrame:
    """Ask the study's tables `jobs` and `measures`, as they are now, in SQL.

    Raises ImportError without the extra `studies`, and ValueError where DuckDB does not understand.
    """
    try:
        import duckdb
    except ImportError as error:
        raise ImportError(
            "queries need DuckDB: pip install 'steering-workbench[studies]'"
        ) from error
    records = list(folder.records().values())
    with duckdb.connect() as connection:
        connection.register("jobs", jobs_frame(records))
        connection.register("measures", measures_frame(records))
        try:
            return connection.execute(sql).df()
        except duckdb.Error as error:
            raise ValueError(f"DuckDB says: {error}") from error
