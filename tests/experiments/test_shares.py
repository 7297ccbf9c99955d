"""Shares by group, with the intervals of `proportion`."""

import numpy as np
import pandas as pd
import pytest

from workbench.evaluation import proportion, two_level
from workbench.experiments.shares import over_vectors, share, share_each, shares

ROWS = pd.DataFrame(
    {"vector": ["b", "b", "a", "b"], "way": ["+", "+", "+", "-"], "hit": [True, False, True, True]}
)


def test_shares_are_proportions_in_the_order_of_the_table():
    assert share(ROWS, "hit") == proportion(3, 4)
    assert share_each(ROWS, "hit") == [proportion(2, 3), proportion(1, 1)]
    found = shares(ROWS, "hit", ["vector", "way"])
    assert list(found.columns) == ["vector", "way", "n", "hit", "low", "high"]
    assert list(zip(found["vector"], found["way"], strict=True)) == [
        ("b", "+"),
        ("a", "+"),
        ("b", "-"),
    ]
    assert list(found["hit"]) == [0.5, 1.0, 1.0]
    assert found["low"][0] == pytest.approx(proportion(1, 2).low)


def test_means_over_vectors_are_two_level():
    rows = pd.DataFrame(
        {"vector": list("aabb"), "asked": [1, 2, 2, 1], "hit": [True, False, True, True]}
    )
    assert over_vectors(rows, "hit", "asked") == two_level(np.array([[1.0, 0.0], [1.0, 1.0]]))
