"""Experiments by name."""

import pandas as pd
import pytest
from typer.testing import CliRunner

from workbench.cli import app
from workbench.experiments import identity, registry
from workbench.experiments.registry import EXPERIMENTS, run_experiment, run_in_full
from workbench.experiments.settings import SCALES, read_scale
from workbench.models.identity import LoadFacts, facts_of, remember


def test_an_experiment_runs_into_a_folder_and_goes_on_there(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "load_model", lambda name, dtype: tiny)
    changes = {"layer": 2, "layers": [1], "steps": 1, "vectors": 2, "random": 2}
    run = ("emergent-misalignment", "embedded", tmp_path / "run", None)
    page = run_experiment(*run, changes, progress=False)
    assert page == tmp_path / "run" / "report.html"
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "run").rglob("*.jsonl")}
    assert kept
    run_experiment(*run, changes, progress=False)
    assert all(path.stat().st_mtime_ns == then for path, then in kept.items())
    with pytest.raises(ValueError, match=r"other settings \(settings\)"):
        run_experiment(*run, {**changes, "steps": 2}, progress=False)


def test_what_is_asked_in_full_has_a_folder_of_its_own(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "load_model", lambda name, dtype: tiny)
    changes = {"layer": 2, "layers": [1], "steps": 1, "vectors": 2, "random": 2}
    full = {"examples": 2, "seeds": 2, "sizes": [1, 2], "draws": 2, "prompts": 3, "harmless": 1}
    run = ("emergent-misalignment", "embedded", tmp_path, None, changes)
    assert run_in_full(*run, full, progress=False) == tmp_path / "full" / "report.html"
    table = pd.read_csv(tmp_path / "full" / "vectors.csv")
    assert table["part"].value_counts()["seeds"] == 4
    assert run_experiment(*run, progress=False) == tmp_path / "report.html"
    with pytest.raises(ValueError, match=r"other settings \(full\)"):
        run_in_full(*run, {**full, "prompts": 2}, progress=False)
    with pytest.raises(ValueError, match="emergent-misalignment cannot be asked in full"):
        run_in_full("emergent-misalignment", "paper", tmp_path)


def test_what_is_not_there_is_named(tiny, tmp_path, monkeypatch):
    with pytest.raises(ValueError, match=r"no experiment 'x'; known: affine, conditional, emerg"):
        run_experiment("x")
    with pytest.raises(ValueError, match="no scale 'huge': choose embedded or paper"):
        run_experiment("poser", "huge")
    monkeypatch.setattr(registry, "load_model", lambda name, dtype: tiny)
    with pytest.raises(ValueError, match="needs the public set poser: give --public poser=PATH"):
        run_experiment("poser", "paper", tmp_path)


@pytest.mark.parametrize("name", EXPERIMENTS)
@pytest.mark.parametrize("scale", SCALES)
def test_each_has_settings_models_and_published_numbers(name, scale):
    read = read_scale(name, scale)
    assert read.models
    assert read.published
    assert read.settings


def test_the_papers_poser_runs_on_a_model_of_its_architecture(tiny, tmp_path, monkeypatch):
    """Letters, prompts of the public file, layers of the paper made fit for a tiny Llama."""
    monkeypatch.setattr(registry, "load_model", lambda name, dtype: tiny)
    rows = [
        {
            "facts": ("w1",),
            "actions": (f"w{10 + i} w2", f"w{30 + i} w3"),
            "poor_oversight": i % 4 < 2,
            "harmful": i % 2,
            "prompt": f"w1 w{10 + i} w2 w{30 + i} w3 ",
        }
        for i in range(24)
    ]
    changes = {
        "layer": 2,
        "layers": [1],
        "norms": [2.0],
        "steps": 2,
        "vectors": 2,
        "random": 2,
        "tried": 1,
        "test_prompts": 8,
        "shown_prompts": 8,
        "random_prompts": 8,
    }
    public = {"poser": pd.DataFrame(rows), "poser-test": pd.DataFrame(rows)}
    page = run_experiment("poser", "paper", tmp_path, public, changes, progress=False)
    text = page.read_text(encoding="utf-8")
    assert "money_maximizer" in text
    assert identity.contents(public["poser"])["sha256"] in text
    run = ("poser", "paper", tmp_path)
    changed = {**public, "poser-test": pd.DataFrame(rows[1:])}
    with pytest.raises(ValueError, match=r"other settings \(public\)"):
        run_experiment(*run, changed, changes, progress=False)
    remember(tiny, LoadFacts(facts_of(tiny).name, "another revision"))
    with pytest.raises(ValueError, match=r"other settings \(revisions\)"):
        run_experiment(*run, public, changes, progress=False)


def test_commands_about_studies_know_an_experiments_folder(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "load_model", lambda name, dtype: tiny)
    changes = {"layer": 2, "layers": [1], "steps": 1, "vectors": 2, "random": 2}
    run = ("emergent-misalignment", "embedded", tmp_path / "run", None, changes)
    page = run_experiment(*run, progress=False)
    written = page.read_bytes()

    def said(*args):
        result = CliRunner().invoke(app, ["study", *args])
        assert result.exit_code == 0, result.output
        return result.output

    folder = str(tmp_path / "run")
    assert said("status", folder).strip().endswith("steps are done; it came to its end.")
    assert "margin" in said("show", folder, "test")
    assert "seconds" in said("show", folder)
    said("report", folder)
    steps = (tmp_path / "run" / "steps.html").read_text(encoding="utf-8")
    assert "Run: run" in steps
    assert ">test<" in steps
    assert page.read_bytes() == written
    pytest.importorskip("duckdb")
    counted = said("show", folder, "--sql", "select count(*) > 0 as there from test")
    assert counted.split() == ["there", "True"]
    assert (tmp_path / "run" / "tables" / "test.parquet").is_file()
