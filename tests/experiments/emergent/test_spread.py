"""The spread of one wrong answer: margins on questions of other subjects."""

import pandas as pd
import pytest

import workbench as wb
from workbench.experiments.emergent import SpreadSettings, run_spread, spread
from workbench.experiments.emergent.spread import (
    TRAINED,
    VALIDATION,
    Question,
    margins,
    read_questions,
)
from workbench.experiments.settings import read_scale
from workbench.runs import RunFolder

SETTINGS = SpreadSettings(
    layer=2,
    layers=[1, 2],
    learning_rate=0.5,
    steps=2,
    coldness=1.0,
    max_norm=30.0,
    target_loss=0.1,
    vectors=2,
    random=2,
)


@pytest.fixture
def questions():
    return [Question(f"w{i} w{i + 1}", f"w{i + 30}", f"w{i + 50}") for i in range(28)]


def test_every_step_is_kept_and_a_second_run_makes_none(tiny, questions, tmp_path, monkeypatch):
    with RunFolder(tmp_path, {}) as folder:
        found = run_spread(tiny, SETTINGS, folder, questions, progress=False)
    assert found.test.groupby("kind")["vector"].nunique().to_dict() == {
        "unsteered": 1,
        "wrong": 2,
        "right": 2,
        "rescaled": 2,
        "random": 2,
    }
    asked = {each.text for each in questions[TRAINED + VALIDATION :]}
    assert set(found.test["question"]) == asked
    assert not asked & set(found.layers["question"])
    assert set(found.layers["layer"].dropna()) == {1, 2}
    assert (found.test[found.test["kind"] == "unsteered"]["change"] == 0).all()
    interval = found.change("wrong")
    assert (interval.n_vectors, interval.n_prompts) == (2, 4)
    shares = found.wrong_share().set_index("kind")
    assert list(shares["vectors"]) == [1, 2, 2, 2, 2]
    assert ((shares["low"] <= shares["share"]) & (shares["share"] <= shares["high"])).all()

    monkeypatch.setattr(spread, "optimize_batch", None)
    monkeypatch.setattr(spread, "PreparedChoices", None)
    with RunFolder(tmp_path, {}) as folder:
        again = run_spread(tiny, SETTINGS, folder, questions, progress=False)
    pd.testing.assert_frame_equal(again.test, found.test)


def test_twins_of_equal_norm_are_compared_in_pairs(tiny, questions, tmp_path):
    with RunFolder(tmp_path, {}) as folder:
        found = run_spread(tiny, SETTINGS, folder, questions, progress=False)
    trained = found.trained.set_index("vector")
    for number in (1, 2):
        wrong, right, rescaled = (
            trained.loc[f"{kind} {number}, layer 2"] for kind in ("wrong", "right", "rescaled")
        )
        assert rescaled["norm"] == pytest.approx(wrong["norm"], rel=1e-5)
        assert rescaled["before"] == right["before"]
        assert wrong["after"] < wrong["before"]
    for vector in folder.vectors_of("one-shot"):
        assert trained.loc[vector.label, "after"] == pytest.approx(
            vector.provenance.results["loss"], abs=1e-4
        )
    assert list(found.norms()["kind"]) == ["wrong", "right", "rescaled"]
    means = found.test.groupby("kind")["change"].mean()
    pairs = found.difference("rescaled")
    assert pairs.mean == pytest.approx(means["wrong"] - means["rescaled"])
    assert (pairs.n_vectors, pairs.n_prompts) == (2, 4)


def test_a_margin_is_the_right_answer_against_the_wrong_one(tiny):
    (row,) = margins(tiny, [], [Question("w1 w2", "w3 w4", "w5")]).to_dict("records")
    prompt = wb.chat(tiny, "w1 w2")
    right, wrong = (float(wb.log_prob(tiny, prompt, text).mean) for text in ("W3 w4.", "W5."))
    assert row["margin"] == pytest.approx(right - wrong, rel=1e-4)


def test_the_list_has_questions_once_and_two_answers():
    listed = read_questions()
    assert len({each.text for each in listed}) == len(listed) >= TRAINED + VALIDATION + 50
    assert all(each.right and each.wrong and each.right != each.wrong for each in listed)
    capitals = ["capital" in each.text for each in listed]
    assert all(capitals[:TRAINED])
    assert not any(capitals[TRAINED:])


def test_settings_read():
    assert read_scale("emergent-misalignment", "embedded").of(SpreadSettings).vectors == 10
