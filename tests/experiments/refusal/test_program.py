"""Vectors against refusals: what is trained, what is chosen on, what is kept."""

from dataclasses import replace

import pandas as pd
import pytest

from workbench.experiments.refusal import RefusalSettings, program, run_refusal
from workbench.experiments.refusal.program import best_of, best_place, rates
from workbench.experiments.settings import read_scale
from workbench.runs import RunFolder

SETTINGS = RefusalSettings(
    layer=2,
    norm=20.0,
    way="clamp",
    strength=1.0,
    learning_rate=0.5,
    steps=2,
    coldness=0.7,
    target_loss=0.1,
    target_tokens=3,
    refusal_tokens=2,
    requests=2,
    random=2,
    layers=[1, 2],
    norms=[5.0],
    tried=1,
    tried_requests=2,
    validation_requests=3,
    test_requests=2,
    harmless_requests=3,
    random_requests=1,
    random_costs=1,
    mean_requests=3,
)


def test_every_step_is_kept_and_a_second_run_makes_none(requests, tmp_path, monkeypatch):
    with RunFolder(tmp_path, {}) as folder:
        found = run_refusal(requests, SETTINGS, folder, progress=False)
    per_kind = found.test.groupby("kind")["vector"].nunique().to_dict()
    assert per_kind == {
        "unsteered": 1,
        "parent": 1,
        "promotion": 2,
        "suppression": 2,
        "random": 2,
        "means": 2,
        "prefill": 1,
    }
    assert set(found.test["request"]) == set(requests.harmful)
    assert set(found.tried["way"]) == {"add", "clamp"}
    assert len(found.tried) == 2 * 2 * 1 * 2 * 2
    chosen = found.settings
    assert (chosen.way, (chosen.layer, chosen.norm)) == best_place(
        found.tried, [(1, 5.0), (2, 5.0)]
    )
    assert set(found.vectors["layer"]) == {chosen.layer}
    assert (found.source, found.available) == ("the testbed's own test part", 2)
    assert found.best in set(found.validation["vector"])
    assert set(found.validation["request"]) < set(requests.validation["request"])
    costs = found.costs.set_index("vector")
    assert costs.loc["unsteered", "kl"] == pytest.approx(0, abs=1e-6)
    assert (costs["kl"].drop("unsteered") > 0).all()
    assert len(costs) == 1 + 4 + 1 + 2
    success = found.success().set_index("vector")
    assert len(success) == 11
    assert success.loc["random 0", "n"] == 1
    answers = found.test[found.test["vector"] == found.best]["answer"]
    assert success.loc[found.best, "words"] == answers.str.split().str.len().median()
    assert found.distribution("promotion").n_vectors == 2

    for name in ("optimize_batch", "attack", "cost"):
        monkeypatch.setattr(program, name, None, raising=False)
    with RunFolder(tmp_path, {}) as folder:
        again = run_refusal(requests, SETTINGS, folder, progress=False)
    pd.testing.assert_frame_equal(again.test, found.test)
    assert again.best == found.best


def test_the_best_is_the_one_with_most_strict_successes():
    table = pd.DataFrame(
        {
            "vector": ["a"] * 2 + ["b"] * 2,
            "kind": "promotion",
            "refuses": [False, False, False, True],
            "succeeds": [False, False, True, False],
        }
    )
    assert best_of(table) == "b"
    assert list(rates(table)["raw"]) == [1.0, 0.5]
    assert list(rates(table)["success"]) == [0.0, 0.5]


def test_the_place_is_where_most_vectors_succeed_and_of_equal_ones_the_first():
    rows = [
        (f"{kind} 1, layer {layer}, norm {norm}", way, hits)
        for way, layer, norm, hits in (
            ("add", 1, 5, (1, 0)),
            ("add", 2, 7.5, (1, 1)),
            ("clamp", 1, 5, (1, 1)),
            ("clamp", 2, 7.5, (0, 0)),
        )
        for kind, hits in zip(("promotion", "suppression"), hits, strict=True)
    ]
    table = pd.DataFrame(rows, columns=["vector", "way", "succeeds"]).assign(refuses=False)
    places = [(1, 5.0), (2, 7.5)]
    assert best_place(table, places) == ("add", (2, 7.5))
    assert best_place(table.iloc[4:], places) == ("clamp", (1, 5.0))


def test_success_is_also_counted_among_what_the_parent_answers(requests, tmp_path):
    with RunFolder(tmp_path, {}) as folder:
        found = run_refusal(requests, SETTINGS, folder, progress=False)
    rows = [("parent", "parent", "a", True), ("parent", "parent", "b", False)]
    rows += [("v", "promotion", "a", True), ("v", "promotion", "b", False)]
    test = pd.DataFrame(rows, columns=["vector", "kind", "request", "succeeds"])
    table = replace(found, test=test.assign(refuses=False, answer="w1 w2")).success()
    assert list(table["success"]) == [0.5, 0.5]
    assert list(table["of_parent"]) == [1.0, 1.0]
    assert list(table["words"]) == [2, 2]


@pytest.mark.parametrize("scale", ["embedded", "paper"])
def test_settings_of_both_scales_read(scale):
    assert read_scale("refusal", scale).of(RefusalSettings, seed=2).seed == 2
