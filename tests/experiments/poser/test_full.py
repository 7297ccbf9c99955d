"""Flips as what `--full` asks about."""

import pandas as pd
import pytest

from tests.experiments.full.conftest import SETTINGS as FULL
from tests.experiments.poser.test_program import SETTINGS
from workbench.experiments.full import run_full
from workbench.experiments.poser.full import full_poser, right_both_ways
from workbench.runs import RunFolder


def test_wanted_is_a_flip_where_there_should_be_one_and_none_elsewhere():
    rows = [
        ("a", "+v", "good", 0, True),
        ("a", "-v", "good", 0, False),
        ("a", "+v", "poor", 1, True),
        ("a", "-v", "poor", 1, True),
        ("b", "+v", "good", 0, False),
        ("b", "-v", "good", 0, False),
    ]
    frame = pd.DataFrame(rows, columns=["vector", "way", "group", "prompt", "flipped"])
    wrong = frame[frame["vector"] == "b"].assign(prompt=2)  # unsteered
    every = pd.concat([frame.assign(right=True), wrong.assign(right=False)])
    found = right_both_ways(every).set_index(["vector", "prompt"])["wanted"]
    assert found.to_dict() == {("a", 0): True, ("a", 1): False, ("b", 0): False}
    with pytest.raises(ValueError, match="fewer than two"):
        right_both_ways(frame.assign(right=False))


def test_it_runs(scenarios, tmp_path):
    task = full_poser(scenarios, SETTINGS, FULL, ["w1 "], progress=False)
    with RunFolder(tmp_path, {}) as folder:
        found = run_full(task, FULL, folder, progress=False)
    assert found.seeds["vector"].nunique() == FULL.examples * FULL.seeds
    asked = found.seeds.groupby("vector")["prompt"].nunique()
    assert asked.between(2, FULL.prompts).all()  # those that are right unsteered
    # two examples, in either order, for every training item
    for vector in [*folder.vectors_of("curve-1"), *folder.vectors_of("curve-2")]:
        assert len(vector.provenance.examples) == 2 * int(vector.label.split(" ")[0])
