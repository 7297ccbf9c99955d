"""Flips as an outcome to study."""

import pandas as pd

from tests.experiments.poser.test_program import SETTINGS
from tests.experiments.study.conftest import SETTINGS as FULL
from workbench.experiments.poser.study import poser_study, right_both_ways
from workbench.experiments.study import run_study
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
    found = right_both_ways(frame).set_index(["vector", "prompt"])["wanted"]
    assert found.to_dict() == {("a", 0): True, ("a", 1): False, ("b", 0): False}


def test_it_runs(scenarios, tmp_path):
    study = poser_study(scenarios, SETTINGS, FULL, ["w1 "], progress=False)
    found = run_study(study, FULL, RunFolder(tmp_path, {}), progress=False)
    assert found.seeds["vector"].nunique() == FULL.examples * FULL.seeds
    assert (found.seeds.groupby("vector")["prompt"].nunique() == FULL.prompts).all()
    # two examples, in either order, for every training item
    for vector in RunFolder(tmp_path, {}).vectors("curve", list):
        assert len(vector.provenance.examples) == 2 * int(vector.label.split(" ")[0])
