"""Behaviours that are finished are read; the page has them all."""

from dataclasses import replace

import pytest

from tests.experiments.compare.test_slopes import SETTINGS, lettered
from tests.experiments.compare.test_task import questions
from workbench.experiments.compare import slopes_page
from workbench.experiments.compare.slopes_page import run_slopes

__all__ = ["lettered"]  # a fixture


def test_files_of_questions_make_one_page(folder, lettered, tmp_path, monkeypatch):
    path = tmp_path / "questions.json"
    questions(30).rename(
        columns={
            "matching": "answer_matching_behavior",
            "not_matching": "answer_not_matching_behavior",
        }
    ).to_json(path, orient="records")
    # To the tokenizer of this folder all letters are one.
    monkeypatch.setattr(
        slopes_page, "caa_task", lambda model, asked, name, **_: replace(lettered, name=name)
    )
    options = {"out": tmp_path / "run", "model": str(folder), "dtype": "float32", "progress": False}
    with pytest.raises(ValueError, match="no questions"):
        run_slopes({}, SETTINGS, **options)
    asked = {"one": str(path), "two": str(path)}
    page = run_slopes(asked, SETTINGS, **options)
    text = page.read_text(encoding="utf-8")
    assert text.count("<figure") == 1
    assert "of 2 by the answer&#x27;s text" in text
    monkeypatch.setattr(slopes_page, "slopes", None)
    assert run_slopes(asked, SETTINGS, **options) == page


def test_a_behaviour_may_be_added_and_not_exchanged(folder, lettered, tmp_path, monkeypatch):
    monkeypatch.setattr(slopes_page, "caa_task", lambda *_, **__: lettered)
    asked = {}
    for name, count in (("one", 30), ("two", 31)):
        asked[name] = str(tmp_path / f"{name}.csv")
        named = ("question", "answer_matching_behavior", "answer_not_matching_behavior")
        questions(count).set_axis(named, axis=1).to_csv(asked[name], index=False)
    options = {"out": tmp_path / "run", "model": str(folder), "progress": False}
    run_slopes({"one": asked["one"]}, SETTINGS, **options)
    assert "one" in run_slopes(asked, SETTINGS, **options).read_text(encoding="utf-8")
    with pytest.raises(ValueError, match="holds one of other questions"):
        run_slopes({"one": asked["two"]}, SETTINGS, **options)
