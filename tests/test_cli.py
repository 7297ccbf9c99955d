"""The command line is thin: it parses, calls, prints, and says errors in one line."""

import pytest
from typer.testing import CliRunner

import workbench as wb
from workbench.cli import app

runner = CliRunner()


def test_optimize_then_generate(folder, tmp_path):
    out = tmp_path / "v.safetensors"
    args = ["optimize", "w1 w2", "--promote", "w3", "--layer", "1", "--steps", "3"]
    made = runner.invoke(app, [*args, "--out", str(out), "--model", str(folder)])
    assert made.exit_code == 0, made.output
    assert "OneShotRun(loss=" in made.output
    assert wb.SteeringVector.load(out).layer == 1
    args = ["generate", "w5", "w6", "--vector", str(out), "--max-new-tokens", "3"]
    answered = runner.invoke(app, [*args, "--model", str(folder)])
    assert answered.exit_code == 0, answered.output
    assert answered.output.count("unsteered:") == answered.output.count("  steered:") == 2


def test_models_are_listed():
    listed = runner.invoke(app, ["models"])
    assert listed.exit_code == 0
    assert "smollm2-135m-instruct" in listed.output
    assert "gemma-3-270m" in listed.output


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["optimize", "w1", "--layer", "1"], "promotes and suppresses nothing"),
        (["optimize", "w1", "--promote", "w2", "--layer", "9"], "0 to 3"),
        (["generate", "w1", "--vector", "absent.safetensors"], "no vector file at absent"),
    ],
)
def test_errors_are_one_line_and_a_status(folder, args, message):
    failed = runner.invoke(app, [*args, "--model", str(folder)])
    assert failed.exit_code == 1
    assert "error: " in failed.output
    assert message in failed.output
    assert "Traceback" not in failed.output
