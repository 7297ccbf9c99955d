"""Claims under vectors: what is made, what is asked, what is kept."""

import dataclasses

import pandas as pd
import pytest

from workbench.experiments.fictitious import FictitiousSettings, program, run_fictitious
from workbench.experiments.fictitious.program import rates
from workbench.experiments.settings import read_scale
from workbench.runs import RunFolder

METHODS = ["promotion", "suppression", "reentrant"]
SETTINGS = FictitiousSettings(
    layers=[1, 2, 3],
    measured_layers={**dict.fromkeys(METHODS, 2), "difference of means": 3},
    early_layer=1,
    learning_rate=0.5,
    steps=2,
    coldness=0.7,
    max_norm=20.0,
    suppressed_tokens=2,
    suppress_end=True,
    completions=2,
    completion_tokens=2,
    vectors=2,
    random=2,
    validation_claims=3,
    test_claims=24,
    random_claims=6,
    train_claims=4,
    answer_tokens=6,
    context=1,
)


def test_every_step_is_kept_and_a_second_run_makes_none(claims, tmp_path, monkeypatch):
    with RunFolder(tmp_path, {}) as folder:
        found = run_fictitious(claims, SETTINGS, folder, progress=False)
    assert found.test.groupby("method")["vector"].nunique().to_dict() == {
        "unsteered": 1,
        "true claims": 1,
        **dict.fromkeys(METHODS, 2),
        "difference of means": 1,
        "random": 2,
    }
    asked = found.test[found.test["method"] == "promotion"]
    assert (asked["said"] != asked["true"]).all()
    assert len(asked) == 2 * 24
    layers = found.layers.groupby("method")["layer"].unique()
    assert sorted(layers["promotion"]) == [2, 3]
    assert sorted(layers["difference of means"]) == [1, 2, 3]
    assert set(found.surprisals["set"]) == {
        "real",
        "fictitious",
        "incongruous",
        "unsteered",
        *METHODS,
    }
    assert set(found.surprisals["context"]) == {"real", "fictitious"}
    assert found.classifiers["auc"].between(0, 1).all()
    assert len(found.vectors) == 3 * 2 + 1 + 2

    for name in ("METHODS", "information", "separation"):
        monkeypatch.setattr(program, name, dict.fromkeys(METHODS))
    with RunFolder(tmp_path, {}) as folder:
        again = run_fictitious(claims, SETTINGS, folder, progress=False)
    pd.testing.assert_frame_equal(again.test, found.test)


def test_rates_are_by_vector_with_intervals():
    answers = pd.DataFrame(
        {
            "vector": "a",
            "method": "promotion",
            "retracts": [True, False, False, False],
            "names": [True, True, True, False],
            "about": ["real", "fictitious", "fictitious", "real"],
            "surprisal": [1.0, 2.0, 3.0, float("nan")],
        }
    )
    (row,) = rates(answers).to_dict("records")
    assert (row["n"], row["retracts"], row["names"], row["fictitious"]) == (4, 0.25, 0.75, 0.5)
    assert row["surprisal"] == 2.0
    assert row["low"] < 0.25 < row["high"]


@pytest.mark.parametrize("scale", ["embedded", "paper"])
def test_settings_of_both_scales_read(scale):
    settings = read_scale("fictitious", scale).of(FictitiousSettings)
    assert set(settings.measured_layers) == {*METHODS, "difference of means"}
    assert dataclasses.replace(settings, seed=1).seed == 1
