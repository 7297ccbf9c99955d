"""Names are checked before anything is loaded."""

import pytest

from tests.experiments.compare.conftest import SETTINGS
from workbench.experiments.compare.run import run_compare


def test_unknown_names_are_refused(tmp_path):
    with pytest.raises(ValueError, match="no method 'magic'"):
        run_compare("refusal", SETTINGS, ["magic"], out=tmp_path / "a")
    with pytest.raises(ValueError, match="no task 'cooking'"):
        run_compare("cooking", SETTINGS, out=tmp_path / "b")


def test_public_questions_on_a_folders_model(folder, tmp_path):
    from tests.experiments.compare.test_task import questions

    path = tmp_path / "questions.json"
    questions(30).rename(
        columns={
            "matching": "answer_matching_behavior",
            "not_matching": "answer_not_matching_behavior",
        }
    ).to_json(path, orient="records")
    options = {"out": tmp_path / "run", "model": str(folder), "progress": False}
    page = run_compare(f"trait={path}", SETTINGS, ["one gradient step", "CAA"], **options)
    text = page.read_text(encoding="utf-8")
    assert "trait" in text
    assert "its vector is zero" in text  # to this tokenizer both letters are one
    assert (tmp_path / "run" / "tables").is_dir()
    path.write_text(path.read_text(encoding="utf-8").replace("w1", "w2"), encoding="utf-8")
    with pytest.raises(ValueError, match=r"other settings \(asked\)"):
        run_compare(f"trait={path}", SETTINGS, ["CAA"], **options)
