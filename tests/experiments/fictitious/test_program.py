"""Claims under vectors: what is made, what is asked, what is kept."""

import dataclasses

import pandas as pd
import pytest
import torch

from workbench.experiments.fictitious import (
    Claims,
    FictitiousSettings,
    methods,
    program,
    run_fictitious,
)
from workbench.experiments.fictitious.program import Asked, false_claims, rates
from workbench.experiments.settings import read_scale
from workbench.methods import random_vectors
from workbench.runs import RunFolder
from workbench.steering import SteeringVector, VectorSet

METHODS = ["promotion", "suppression", "reentrant"]
SETTINGS = FictitiousSettings(
    layers=[1, 2, 3],
    swept_layers=[2, 3],
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
    candidates=6,
    vectors=2,
    random=4,
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
        "random": 4,
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
    assert len(found.vectors) == 3 * 2 + 1 + 4

    for name in ("information", "separation"):
        monkeypatch.setattr(program, name, None)
    monkeypatch.setattr(Claims, "asked", None)
    monkeypatch.setattr(methods, "optimize_batch", None)
    with RunFolder(tmp_path, {}) as folder:
        again = run_fictitious(claims, SETTINGS, folder, progress=False)
    pd.testing.assert_frame_equal(again.test, found.test)


def test_vectors_asked_together_answer_as_one_by_one(claims):
    asked = Asked(claims, SETTINGS, progress=False)
    frame = false_claims(claims.test, 5)
    vectors = random_vectors(SteeringVector(torch.full((claims.model.cfg.d_model,), 3.0), 1), 3)
    together = asked(vectors, "random", frame)
    apart = pd.concat([asked([each], "random", frame) for each in vectors], ignore_index=True)
    pd.testing.assert_frame_equal(together, apart, atol=1e-5)
    with pytest.raises(ValueError, match="no vectors of random"):
        asked([], "random", frame)
    assert set(asked.unsteered("as it is", frame)["vector"]) == {"as it is"}


def test_rates_are_by_vector_with_intervals():
    answers = pd.DataFrame(
        {
            "vector": "a",
            "method": "promotion",
            "retracts": [True, False, False, False],
            "names": [True, True, True, False],
            "stays": [False, True, False, False],
            "about": ["real", "fictitious", "fictitious", "real"],
            "surprisal": [1.0, 2.0, 3.0, float("nan")],
        }
    )
    (row,) = rates(answers).to_dict("records")
    assert (row["n"], row["retracts"], row["names"], row["fictitious"]) == (4, 0.25, 0.75, 0.5)
    assert (row["surprisal"], row["stays"]) == (2.0, 0.25)
    assert row["low"] < 0.25 < row["high"]
    (unjudged,) = rates(answers.assign(about=None, surprisal=None)).to_dict("records")
    assert pd.isna(unjudged["fictitious"])
    assert pd.isna(unjudged["surprisal"])


@pytest.mark.parametrize("scale", ["embedded", "paper"])
def test_settings_of_both_scales_read(scale):
    settings = read_scale("fictitious", scale).of(FictitiousSettings)
    assert set(settings.measured_layers) == {*METHODS, "difference of means"}
    assert dataclasses.replace(settings, seed=1).seed == 1


def test_controls_stand_at_every_methods_layer_with_its_longest_norm():
    def made(layer, *norms):
        return VectorSet(
            SteeringVector(torch.eye(4)[0] * norm, layer, label=f"{layer} {norm}") for norm in norms
        )

    settings = dataclasses.replace(SETTINGS, random=10)
    measured = {"a": made(1, 1, 2), "b": made(2, 5, 3), "c": made(3, 4)}
    found = program.controls(measured, settings)
    places = [(vector.layer, round(vector.norm, 3)) for vector in found]
    assert places == [(1, 2)] * 4 + [(2, 5)] * 3 + [(3, 4)] * 3
    assert len({vector.label for vector in found}) == 10
