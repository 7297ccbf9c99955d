"""The page of a declared study, finished or not, and the commands about it."""

import pytest
from typer.testing import CliRunner

from tests.runs.conftest import declared
from workbench.cli import app
from workbench.experiments.study_report import study_report
from workbench.runs import Study, StudyFolder, run_study, status

runner = CliRunner()


@pytest.fixture
def folder_of(folder, tmp_path):
    """Run a study in a folder."""

    def run(**changes):
        given = {"methods": {"adam": {"steps": 1}, "random": {"maker": "random"}}, **changes}
        study = Study.from_dict(declared(folder, **given))
        run_study(study, tmp_path / "run", progress=False)
        return StudyFolder.at(tmp_path / "run")

    return run


def test_a_figure_for_each_measure_method_and_example(folder_of):
    page = study_report(folder_of(name="<i>grid")).to_html()
    assert page.count("<figure>") == 2 * 2 * 2  # log-prob and begins, methods, examples
    assert "Study: &lt;i&gt;grid" in page
    assert "held-out: adam, one" in page
    assert "16 of 16 jobs are done." in page


def test_failures_are_told_and_without_behaviour_the_cost_is_drawn(folder_of):
    measures = {"cost": {"measure": "kl", "prompts": ["w1"], "completions": [" w2"]}}
    page = study_report(folder_of(layers=[1, 9], measures=measures)).to_html()
    assert "Failed: " in page
    assert "8 of 16 jobs are done, 8 failed" in page
    assert page.count("<figure>") == 4
    assert "KL(unsteered" in page


def test_without_measures_or_results_there_is_still_a_page(folder_of):
    page = study_report(folder_of(measures={}, layers=[9])).to_html()
    assert page.count("<figure>") == 0
    assert "0 of 8 jobs are done" in page


def test_the_commands_run_tell_report_and_show(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    study = Study.from_dict(declared(folder, methods={"adam": {"steps": 1}}, seeds=[0]))
    (tmp_path / "grid.toml").write_text(study.to_toml(), encoding="utf-8")
    ran = runner.invoke(app, ["study", "run", "grid.toml"])
    assert ran.exit_code == 0, ran.output
    assert "small: 4 of 4 jobs are done." in ran.output
    held = StudyFolder.at(tmp_path / "out" / "studies" / "small")
    assert (held.path / "report.html").is_file()
    again = runner.invoke(app, ["study", "run", "grid.toml"])
    assert again.exit_code == 0, again.output
    assert len(held.log.read_bytes().splitlines()) == 4

    told = runner.invoke(app, ["study", "status", str(held.path)])
    assert told.output.strip().endswith("4 of 4 jobs are done.")
    (held.path / "report.html").unlink()
    assert runner.invoke(app, ["study", "report", str(held.path)]).exit_code == 0
    assert (held.path / "report.html").is_file()

    assert "held-out" in runner.invoke(app, ["study", "show", str(held.path)]).output
    job = next(iter(held.records()))
    assert f'"id": "{job}"' in runner.invoke(app, ["study", "show", str(held.path), job[:8]]).output
    pytest.importorskip("duckdb")
    asked = ["study", "show", str(held.path), "--sql", "select count(*) as counted from jobs"]
    assert runner.invoke(app, asked).output.split() == ["counted", "4"]


def test_what_fails_is_one_line_and_a_status(folder, tmp_path):
    (tmp_path / "grid.toml").write_text("layers = 3", encoding="utf-8")
    for args, words in (
        (["run", str(tmp_path / "grid.toml")], "the study has no name"),
        (["run", str(tmp_path / "absent.toml")], "no study file"),
        (["status", str(tmp_path)], "no study's folder"),
        (["show", str(tmp_path)], "no study's folder"),
    ):
        failed = runner.invoke(app, ["study", *args])
        assert failed.exit_code == 1
        assert "error: " in failed.output
        assert words in failed.output
    study = Study.from_dict(declared(folder, methods={"adam": {"steps": 1}}, layers=[9]))
    (tmp_path / "grid.toml").write_text(study.to_toml(), encoding="utf-8")
    out = tmp_path / "out"
    ran = runner.invoke(app, ["study", "run", str(tmp_path / "grid.toml"), "--out", str(out)])
    assert ran.exit_code == 1
    assert "failed: " in ran.output
    assert not status(StudyFolder.at(out)).running
    shown = runner.invoke(app, ["study", "show", str(out), "zz"])
    assert "0 jobs of" in shown.output
