"""Shares of rows that are so or not, by vector or whatever a table holds, with intervals.

Wilson's for one vector; two-level over vectors and prompts where both are samples.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from workbench.evaluation import Interval, Proportion, proportion, two_level


def share(rows: pd.DataFrame, column: str) -> Proportion:
    """The share of rows whose `column` is true."""
    return proportion(int(rows[column].sum()), len(rows))


def share_each(rows: pd.DataFrame, column: str, by: str = "vector") -> list[Proportion]:
    """The share of each vector's rows, in the order of the table."""
    return [share(some, column) for _, some in rows.groupby(by, sort=False)]


def over_vectors(rows: pd.DataFrame, column: str, prompt: str) -> Interval:
    """The mean over vectors and prompts, a row each, of which `prompt` names the column."""
    table = rows.pivot(index="vector", columns=prompt, values=column)
    return two_level(table.to_numpy(float))


def shares(rows: pd.DataFrame, column: str, by: Sequence[str]) -> pd.DataFrame:
    """One row a group: the columns of `by`, n, the share under the name `column`, low, high."""
    found = []
    for key, some in rows.groupby(list(by), sort=False):
        one = share(some, column)
        named = dict(zip(by, key, strict=True))
        found.append({**named, "n": one.n, column: one.rate, "low": one.low, "high": one.high})
    return pd.DataFrame(found)
