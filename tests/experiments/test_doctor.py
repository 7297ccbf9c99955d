"""The doctor finds what is there, says what is not, and never fails itself."""

import importlib

import pytest
from typer.testing import CliRunner

from workbench.cli import app
from workbench.experiments.doctor import EXTRAS, examine, to_frame

module = importlib.import_module("workbench.experiments.doctor")


def test_here_nothing_is_wrong():
    checks = {check.name: check for check in examine()}
    assert checks["self-test"].state == "fine", checks["self-test"]
    assert checks["torch"].state == checks["Python"].state == "fine"
    assert {f"extra {name}" for name in EXTRAS} <= set(checks)
    assert list(to_frame(checks.values()).columns) == ["name", "state", "found", "advice"]


def test_what_is_missing_is_named_with_what_to_do(monkeypatch):
    monkeypatch.setattr(module, "find_spec", lambda name: None if name == "optuna" else object())
    monkeypatch.setattr(module.shutil, "which", lambda name: None)
    monkeypatch.setattr(module, "is_cached", lambda known: False)
    checks = {check.name: check for check in examine()}
    assert checks["extra search"].state == "missing"
    assert checks["extra search"].advice == "pip install 'steering-workbench[search]'"
    assert checks["browser"].advice.startswith("install Chrome")
    assert checks["smollm2-135m-instruct"].state == "missing"


@pytest.mark.parametrize(
    ("name", "broken", "found"),
    [
        ("_hook_difference", lambda: 0.5, "differ by 0.5"),
        ("_hook_difference", lambda: 1 / 0, "ZeroDivisionError"),
    ],
)
def test_what_is_wrong_ends_in_a_status(monkeypatch, name, broken, found):
    monkeypatch.setattr(module, name, broken)
    made = CliRunner().invoke(app, ["doctor"])
    assert made.exit_code == 1
    assert found in made.output
    assert "report this with your versions" in made.output


def test_too_little_room_is_wrong(monkeypatch):
    monkeypatch.setattr(module, "MEMORY", 1e18)
    monkeypatch.setattr(module, "DISK", 1e18)
    states = {check.name: check.state for check in examine()}
    assert states["memory"] == states["cache"] == "wrong"
