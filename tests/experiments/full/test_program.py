"""The vectors of an experiment in full: which are made, from what, and what is kept."""

from dataclasses import replace

import pandas as pd
import pytest

from tests.experiments.full.conftest import SETTINGS
from workbench.experiments.full import FullResult, program, run_full
from workbench.experiments.full.program import NAMES, OPTIMIZERS
from workbench.runs import RunFolder


def test_every_step_is_kept_and_a_second_run_makes_none(task, tmp_path, monkeypatch):
    with RunFolder(tmp_path, {}) as folder:
        found = run_full(task, SETTINGS, folder, progress=False)
    assert found.seeds.groupby(["item", "seed"])["prompt"].count().to_dict() == {
        (item, seed): 4 for item in (1, 2, 3) for seed in (1, 2)
    }
    assert found.curve.groupby("size")["vector"].nunique().to_dict() == {1: 2, 2: 2}
    assert set(found.optimizers["optimizer"]) == set(OPTIMIZERS)
    assert (found.effort.groupby("optimizer").size() == 3).all()
    assert (found.effort["evaluations"] >= 1).all()
    assert len(found.predictors) == 6
    assert set(NAMES) < set(found.predictors)
    assert found.predictors["wanted"].between(0, 1).all()
    assert set(found.by_size()) == {1, 2}
    assert set(found.by_optimizer()) == set(OPTIMIZERS)

    assert found.controls.groupby("vector")["prompt"].count().to_dict() == dict.fromkeys(
        [f"random {i}" for i in range(4)], found.seeds["prompt"].nunique()
    )
    assert sorted(found.sizes["size"]) == [1, 1, 2, 2]
    adam = found.optimizers[found.optimizers["optimizer"] == "Adam"]
    first = found.seeds[found.seeds["seed"] == 1]
    assert list(adam["wanted"]) == list(first["wanted"])

    frame = found.to_frame()
    assert [*frame["part"]] == ["seeds"] * 6 + ["curve"] * 4 + ["optimizers"] * 9 + ["controls"] * 4
    assert frame["n"].eq(4).all()
    of_seeds = frame[frame["part"] == "seeds"].set_index(["item", "seed"])
    shares = found.seeds.groupby(["item", "seed"])["wanted"].mean()
    assert of_seeds["wanted"].to_dict() == shares.to_dict()
    assert of_seeds[list(NAMES)].notna().all(axis=None)
    trained = frame[frame["part"].isin(["curve", "optimizers"])]
    assert trained[["loss", "norm", "evaluations", "stopped"]].notna().all(axis=None)

    monkeypatch.setattr(program, "optimize_batch", None)
    monkeypatch.setattr(program, "predictors", None)
    with RunFolder(tmp_path, {}) as folder:
        again = run_full(task, SETTINGS, folder, progress=False)
    pd.testing.assert_frame_equal(again.predictors, found.predictors)


def test_the_unsteered_model_stands_among_the_controls_where_the_task_asks_it(task, tmp_path):
    unsteered = pd.DataFrame({"prompt": range(4), "wanted": [True, False, False, False]})
    with RunFolder(tmp_path, {}) as folder:
        asked = replace(task, unsteered=lambda: unsteered)
        found = run_full(asked, SETTINGS, folder, progress=False)
    controls = found.controls.groupby("vector")["wanted"].mean()
    assert controls["unsteered"] == 0.25


def test_settings_that_cannot_be_told_apart_are_refused():
    for name, value in (("seeds", 1), ("draws", 1), ("harmless", 0), ("examples", 1)):
        with pytest.raises(ValueError, match=f"{name} must be at least"):
            replace(SETTINGS, **{name: value})
    for sizes in ([], [2, 2], [0]):
        with pytest.raises(ValueError, match="none twice"):
            replace(SETTINGS, sizes=sizes)


def test_too_few_items_are_named(task, tmp_path):
    few = replace(task, draw=lambda count: task.draw(1))
    words = "needs 3 training items, and there are 1"
    with RunFolder(tmp_path, {}) as folder, pytest.raises(ValueError, match=words):
        run_full(few, SETTINGS, folder, progress=False)


def test_seeds_give_other_vectors_and_several_items_are_trained_on_together(task, tmp_path):
    with RunFolder(tmp_path, {}) as folder:
        run_full(task, SETTINGS, folder, progress=False)
    first, second = list(folder.vectors_of("seeds"))[:2]
    assert [each.provenance.seed for each in (first, second)] == [0, 1]
    assert first.provenance.examples == second.provenance.examples
    assert not (first.values == second.values).all()
    for vector in [*folder.vectors_of("curve-1"), *folder.vectors_of("curve-2")]:
        assert len(vector.provenance.examples) == int(vector.label.split(" ")[0])
        prompts = [example["prompt"] for example in vector.provenance.examples]
        assert len(set(prompts)) == len(prompts)
    for name in ("optimizer-1", "optimizer-2"):
        assert all(
            vector.provenance.config["optimizer"] == "lbfgs" for vector in folder.vectors_of(name)
        )


def result(shares):
    """Outcomes with these shares of ten prompts, by item and seed."""
    rows = [
        {"item": item, "seed": seed, "vector": f"{item} {seed}", "prompt": i, "wanted": i < hits}
        for (item, seed), hits in shares.items()
        for i in range(10)
    ]
    empty = pd.DataFrame()
    return FullResult(SETTINGS, pd.DataFrame(rows), *[empty] * 6)


def varying(shares):
    """The measures, and their intervals."""
    table = result(shares).variance().set_index("measure")
    assert (table["low"] <= table["high"]).all()
    return table["value"]


def test_variance_is_told_apart():
    by_item = varying({(0, 0): 2, (0, 1): 2, (1, 0): 8, (1, 1): 8})
    assert by_item["share of item"] == 1
    assert by_item["sd by seed"] == 0
    assert by_item["sd by item"] == pytest.approx(0.6 / 2**0.5)
    by_seed = varying({(0, 0): 2, (0, 1): 8, (1, 0): 2, (1, 1): 8})
    assert by_seed["share of item"] == 0
    assert by_seed["sd by seed"] == pytest.approx(0.6 / 2**0.5)


def test_means_by_size_are_over_vectors_and_prompts():
    varied = result({(0, 0): 2, (1, 0): 8})
    (found,) = replace(varied, curve=varied.seeds.assign(size=2)).by_size().values()
    assert (found.mean, found.n_vectors, found.n_prompts) == (0.5, 2, 10)
    assert found.low < 0.3 < 0.7 < found.high  # over two vectors, with 0.2 and 0.8


def test_the_target_is_for_one_item(task, tmp_path):
    """Else one item alone would stop early, and many run to their norm's bound."""
    assert task.job["target_loss"] is not None
    with RunFolder(tmp_path, {}) as folder:
        run_full(task, SETTINGS, folder, progress=False)
    targets = [folder.vectors_of(f"curve-{size}")[0].provenance.config for size in (1, 2)]
    assert targets[1]["target_loss"] == 2 * targets[0]["target_loss"]
