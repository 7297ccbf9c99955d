"""The command line is thin: it parses, calls, prints, and says errors in one line."""

import pytest
import torch
from typer.testing import CliRunner

import workbench as wb
from workbench.cli import app
from workbench.models.adapter import Adapter

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


def test_a_page_is_written_about_saved_vectors(tmp_path):
    for i in range(2):
        vector = wb.SteeringVector(torch.arange(4.0) + i, 1, label=f"v{i}")
        vector.save(tmp_path / "set" / f"{i}.safetensors")
    page = tmp_path / "page.html"
    made = runner.invoke(app, ["report", str(tmp_path / "set"), "--out", str(page)])
    assert made.exit_code == 0, made.output
    assert page.read_text(encoding="utf-8").count("<figure") == 2


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


# ---- Testbeds ----


@pytest.fixture
def adapter_folder(tmp_path):
    factors = {"model.layers.0.mlp.up_proj": (torch.zeros(2, 576), torch.zeros(1536, 2))}
    return Adapter("smollm2-135m-instruct", None, 2, factors, {"seed": 4}).save(tmp_path)


def test_a_testbeds_card_is_printed(adapter_folder):
    printed = runner.invoke(app, ["testbed", "card", "refusal", "--adapter", str(adapter_folder)])
    assert printed.exit_code == 0, printed.output
    assert "seed 4" in printed.output
    assert "Nothing has been measured" in printed.output


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["card", "refusals"], "no testbed 'refusals'"),
        (["card", "refusal", "--adapter", "absent"], "no adapter in absent"),
        (["train", "joking"], "no testbed 'joking'"),
        (["measure", "refusal", "--adapter", "absent"], "no adapter in absent"),
    ],
)
def test_testbed_errors_are_one_line_and_a_status(args, message):
    failed = runner.invoke(app, ["testbed", *args])
    assert failed.exit_code == 1
    assert message in " ".join(failed.output.split())
    assert "Traceback" not in failed.output


@pytest.mark.embedded
def test_a_public_set_needs_a_name_and_a_path(adapter_folder):
    args = ["testbed", "measure", "refusal", "--adapter", str(adapter_folder)]
    failed = runner.invoke(app, [*args, "--public", "harmbench"])
    assert failed.exit_code == 1
    assert "NAME=PATH" in failed.output


@pytest.mark.embedded
@pytest.mark.parametrize("name", ["refusal", "alignment-faking", "retraction"])
def test_a_small_share_of_each_recipe_trains_and_loads(name, tmp_path):
    pytest.importorskip("peft")
    args = ["testbed", "train", name, "--share", "0.005", "--out", str(tmp_path / name)]
    trained = runner.invoke(app, args)
    assert trained.exit_code == 0, trained.output
    bed = wb.load_testbed(name, adapter=tmp_path / name)
    assert bed.card.training["steps"] >= 1
    assert bed.card.rank <= 8
    assert sum(f.stat().st_size for f in (tmp_path / name).iterdir()) < 5_000_000


# ---- Vectors in files ----


@pytest.fixture
def ones(tmp_path):
    """A vector file of layer 1."""
    return wb.SteeringVector(torch.ones(8), 1, label="ones").save(tmp_path / "v.safetensors")


def test_vectors_are_listed_shown_and_converted(ones, tmp_path):
    def ran(*args):
        made = runner.invoke(app, ["vectors", *map(str, args)])
        assert made.exit_code == 0, made.output
        return made.output

    assert "ones" in ran("list", ones)
    assert '"method": "by hand"' in ran("show", ones)
    other = tmp_path / "v.layers.pt"
    said = ran("convert", ones, other)
    assert f"1 vector to {other}" in said.replace("\n", "")
    assert "Labels and provenance are lost" in said
    assert "v, block 0" in ran("list", other)


def test_what_a_format_cannot_hold_is_an_error_in_words(ones, tmp_path):
    failed = runner.invoke(app, ["vectors", "convert", str(ones), str(tmp_path / "v.gguf")])
    assert failed.exit_code == 1
    assert "error: llama.cpp counts directions from 1" in failed.output
    assert not (tmp_path / "v.gguf").exists()
