"""Choice within the budget on validation, measured on test, kept in a folder."""

from dataclasses import replace

import pandas as pd
import pytest
import torch

import workbench as wb
from tests.experiments.compare.conftest import SETTINGS
from workbench.experiments.compare import Made, compare
from workbench.experiments.compare.made import UnfitTaskError
from workbench.experiments.compare.makers import METHODS
from workbench.experiments.compare.meter import Meter, margins
from workbench.runs import RunFolder

SIZES = {
    name: getattr(SETTINGS, name)
    for name in ("chosen_on", "measured_on", "harmless", "answer_tokens", "questions")
}
SHARES = (0.02, 0.1, 0.5, 2.0)


def trained(task, layer, seed):
    """A vector optimized for the task's answers: it must be beyond random ones."""
    examples = [wb.Example(item.prompt, promote=[item.shows]) for item in task.train[:6]]
    run = wb.optimize(task.model, examples, layer, steps=30, learning_rate=0.2, progress=False)
    return [Made(run.vector, 6, strengths=SHARES, note="of six")]


def alone(task, layer, seed):
    """Ablation has one strength and no scale."""
    vector = wb.SteeringVector(torch.ones(32), layer, label="ones")
    return [Made(vector, 0, lambda v, _: wb.Ablate(v), (1.0,), in_stream=False)]


def unfit(task, layer, seed):
    raise UnfitTaskError("there are no letters")


def _zero(layer):
    return wb.SteeringVector(torch.zeros(32), layer)


MAKERS = {"trained": trained, "ablated": alone, "unfit": unfit}


def test_choice_and_measures(task):
    found = compare(task, SETTINGS, MAKERS, progress=False)
    table = found.table.set_index(["method", "at"])
    assert found.left_out == {"unfit": "there are no letters"}
    best = table.loc["trained", "best scale"]
    equal = table.loc["trained", "equal KL"]
    tried = found.tried[found.tried["method"] == "trained"]
    assert list(tried["strength"]) == list(SHARES)
    within = tried[tried["kl"] <= SETTINGS.budget]
    assert 0 < len(within) < len(tried)
    gaining = within[within["shown"] >= Meter.of(task, **SIZES).shown_before(task.model)]
    chosen = gaining if len(gaining) else within
    assert best["strength"] == chosen.loc[chosen["margin"].idxmax(), "strength"]
    assert equal["strength"] >= best["strength"]
    assert best["beyond"]
    assert best["below"] == 1
    assert best["change"] > best["random_95"] > -1
    assert ("ablated", "equal KL") not in table.index
    assert "no scale" in table.loc["ablated", "best scale"]["note"]
    assert found.random.groupby("method").size().to_dict() == {"trained": 3, "ablated": 3}
    unsteered = table.loc["unsteered", "unsteered"]
    assert unsteered["change"] == unsteered["kl"] == 0
    assert unsteered["margin"] == pytest.approx(
        sum(margins(task.model, task.test[:5])) / 5, abs=1e-5
    )
    assert best["margin"] - best["change"] == pytest.approx(unsteered["margin"], abs=1e-5)
    assert best["low"] <= best["change"] <= best["high"]
    assert best["n"] == 5


def test_where_nothing_is_within_the_budget_the_cheapest_is_taken(task):
    found = compare(task, replace(SETTINGS, budget=1e-9), {"trained": trained}, progress=False)
    best = found.table[found.table["at"] == "best scale"].iloc[0]
    assert best["strength"] == min(SHARES)


def test_a_method_over_the_budget_says_so_and_has_no_row_at_equal_cost(task):
    """Ablation costs what it costs: it has no scale."""
    found = compare(task, replace(SETTINGS, budget=1e-6), {"ablated": alone}, progress=False)
    ((_, row),) = found.table[found.table["method"] == "ablated"].iterrows()
    assert row["at"] == "best scale"
    assert not row["within"]
    assert row["note"] == "it has no scale"


def test_what_costs_the_same_at_every_strength_is_not_calibrated(task):
    """A gate that is shut on harmless text."""

    def shut(task, layer, seed):
        def apply(vector, scale):
            return wb.When(wb.Condition(vector, 1e9), wb.Add(vector, scale))

        return [Made(wb.SteeringVector(torch.ones(32), layer), 0, apply)]

    table = compare(task, SETTINGS, {"shut": shut}, progress=False).table
    assert list(table["at"]) == ["unsteered", "best scale"]
    assert "same at every strength" in table["note"].iloc[1]


def test_an_answer_that_became_less_likely_is_not_chosen(task, monkeypatch):
    """Broken models have larger margins where the other answer loses more."""
    monkeypatch.setattr(Meter, "shown_before", lambda *_: 0.0)  # no log-prob is as large
    found = compare(task, SETTINGS, {"trained": trained}, progress=False)
    within = found.tried[found.tried["kl"] <= SETTINGS.budget]
    best = found.table[found.table["at"] == "best scale"].iloc[0]
    assert best["strength"] == within.loc[within["margin"].idxmax(), "strength"]
    ordered = within["shown"].sort_values()
    limit = float(ordered.iloc[-1])
    monkeypatch.setattr(Meter, "shown_before", lambda *_: limit)
    found = compare(task, SETTINGS, {"trained": trained}, progress=False)
    best = found.table[found.table["at"] == "best scale"].iloc[0]
    assert best["strength"] == within.loc[ordered.index[-1], "strength"]


def test_what_a_method_cannot_do_is_told_and_the_others_go_on(task):
    def broken(task, layer, seed):
        raise ModuleNotFoundError("pip install x")

    def zero(task, layer, seed):
        return [Made(_zero(layer), 1)]

    makers = {"broken": broken, "zero": zero, "trained": trained}
    found = compare(task, SETTINGS, makers, progress=False)
    assert found.left_out == {"broken": "pip install x", "zero": "its vector is zero"}
    assert set(found.random["method"]) == {"trained"}


def test_a_layer_where_a_method_cannot_be_made_is_left_out_and_named(task):
    def above(task, layer, seed):
        return trained(task, layer, seed) if layer > 1 else [Made(_zero(layer), 1)]

    found = compare(task, replace(SETTINGS, layers=[1, 2]), {"above": above}, progress=False)
    assert set(found.tried["layer"]) == {2}
    row = found.table[found.table["at"] == "best scale"].iloc[0]
    assert row["candidates"] == 1
    assert row["note"] == "of six; not at layer 1: its vector is zero"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"layers": []}, "at least one"),
        ({"layers": [1, 1]}, "none twice"),
        ({"budget": 0}, "budget"),
        ({"random": 0}, "random must be at least 1"),
        ({"measured_on": 0}, "measured_on"),
    ],
)
def test_settings_that_cannot_be_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        replace(SETTINGS, **changes)


def test_a_layer_that_is_not_there_is_refused(task):
    with pytest.raises(IndexError, match="99"):
        compare(task, replace(SETTINGS, layers=[99]), MAKERS, progress=False)


def test_finished_methods_are_not_run_again(task, tmp_path):
    with RunFolder(tmp_path, {}) as folder:
        first = compare(task, SETTINGS, MAKERS, folder, progress=False)

    def never(task, layer, seed):
        raise AssertionError("it was finished")

    makers = {"trained": never, "ablated": never, "unfit": unfit}
    with RunFolder(tmp_path, {}) as folder:
        again = compare(task, SETTINGS, makers, folder, progress=False)
    for name in ("table", "tried", "random"):
        pd.testing.assert_frame_equal(getattr(first, name), getattr(again, name), check_dtype=False)


def test_without_a_method_that_fits_there_is_nothing(task):
    with pytest.raises(ValueError, match=r"no method could be run on words.*no letters"):
        compare(task, SETTINGS, {"unfit": unfit}, progress=False)


def test_all_methods_are_known():
    assert {"one-shot", "BiPO", "affine (ACE)", "CAA", "ActAdd", "KL-then-steer"} <= set(METHODS)
