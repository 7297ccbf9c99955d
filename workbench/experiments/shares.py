"""Shares of rows that are so or not, with Wilson intervals, by vector or whatever a table holds."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from workbench.evaluation import Proportion, proportion


def share(rows: pd.DataFrame, column: str) -> Proportion:
    """The share of rows whose `column` is true."""
    return proportion(int(rows[column].sum()), len(rows))


def share_each(rows: pd.DataFrame, column: str, by: str = "vector") -> list[Proportion]:
    """The share of each vector's rows, in the order of the table."""
    return [share(some, column) for _, some in rows.groupby(by, sort=False)]


def shares(rows: pd.DataFrame, column: str, by: Sequence[str]) -> pd.DataFrame:
    """One row a group: the columns of `by`, n, the share under the name `column`, low, high."""
    found = []
    for key, some in rows.groupby(list(by), sort=False):
        one = share(some, column)
        named = dict(zip(by, key, strict=True))
        found.append({**named, "n": one.n, column: one.rate, "low": one.low, "high": one.high})
    return pd.DataFrame(found)
