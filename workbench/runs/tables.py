"""Records as tables: frames for pandas, Parquet files for everything else."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pandas as pd

from workbench.files import many_written, written_whole
from workbench.runs.folder import JobFolder

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


def steps_frame(records: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """One row a step that was tried: step, kind, state, files, seconds, finished, id, error."""
    rows = [
        {
            **record["job"],
            "state": record["state"],
            "files": len(record.get("files", ())),
            "seconds": record["run"].get("seconds"),
            "finished": record["run"].get("finished"),
            "id": record["id"],
            "error": record.get("error"),
        }
        for record in records
    ]
    columns = ["step", "kind", "state", "files", "seconds", "finished", "id", "error"]
    return pd.DataFrame(rows, columns=columns)


def write_tables(folder: JobFolder) -> list[Path]:
    """Write the folder's tables as `tables/NAME.parquet`; none without the extra `studies`.

    A table that Parquet cannot hold (a column of texts and numbers) is left out, with a warning.
    """
    if find_spec("pyarrow") is None:
        return []
    written = []
    with many_written():
        for name, frame in folder.frames().items():
            path = folder.path / "tables" / f"{name}.parquet"
            try:
                with written_whole(path) as part:
                    frame.to_parquet(part, index=False)
            except (TypeError, ValueError, NotImplementedError) as error:  # as pyarrow raises them
                warnings.warn(f"no Parquet file of the table {name!r}: {error}", stacklevel=2)
            else:
                written.append(path)
    return written


def query(folder: JobFolder, sql: str) -> pd.DataFrame:
    """Ask the folder's tables, as they are now, in SQL.

    A study's are `jobs` and `measures`; a program's are `steps`, and its steps by their names.
    Raises ImportError without the extra `studies`, and ValueError where DuckDB does not understand.
    """
    try:
        import duckdb
    except ImportError as error:
        raise ImportError(
            "queries need DuckDB: pip install 'steering-workbench[studies]'"
        ) from error
    with duckdb.connect() as connection:
        for name, frame in folder.frames().items():
            connection.register(name, frame)
        try:
            return connection.execute(sql).df()
        except duckdb.Error as error:
            raise ValueError(f"DuckDB says: {error}") from error
