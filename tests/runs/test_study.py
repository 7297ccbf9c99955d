"""A study is what its file says, and says what is wrong with it before anything is loaded."""

import textwrap

import pytest

from tests.runs.conftest import declared
from workbench.runs import Study, read_study
from workbench.runs import study as module


def test_jobs_are_the_grid_once_each(study):
    assert len({job.id for job in study.jobs}) == len(study.jobs) == 30
    of = {name: [job for job in study.jobs if job.method == name] for name in study.methods}
    assert {(job.example, job.layer, job.seed) for job in of["adam"]} == {
        (example, layer, seed) for example in ("one", "two") for layer in (1, 2) for seed in (0, 1)
    }
    assert {job.seed for job in of["gradient"]} == {0}  # no chance in it
    assert {job.example for job in of["contrast"]} == {"pair"}


def test_packs_hold_every_job_once_by_layer_and_maker(study):
    packs = study.packs()
    assert sorted(job.id for pack in packs for job in pack) == sorted(job.id for job in study.jobs)
    assert all(len({(job.layer, job.maker) for job in pack}) == 1 for pack in packs)
    assert max(len(pack) for pack in packs) == 3
    layers = [pack[0].layer for pack in packs]
    assert layers == sorted(layers)


def test_toml_and_python_declare_the_same_jobs(study, tmp_path):
    path = tmp_path / "study.toml"
    path.write_text(study.to_toml(), encoding="utf-8")
    again = read_study(path)
    assert [job.id for job in again.jobs] == [job.id for job in study.jobs]
    assert again.to_dict() == study.to_dict()
    assert again.to_toml() == study.to_toml()


def test_lines_of_a_file_take_its_place(folder, tmp_path):
    (tmp_path / "questions.txt").write_text("w20 w21\n\nw22 w23 w24\nw25\n", encoding="utf-8")
    study = Study.from_dict(declared(folder))
    text = study.to_toml()
    named = 'prompts_file = "questions.txt"\ncompletion'
    start = text.index("prompts", text.index("[measures.held-out]"))
    text = text[:start] + named + text[text.index("completion", start) + len("completion") :]
    path = tmp_path / "study.toml"
    path.write_text(text, encoding="utf-8")
    assert [job.id for job in read_study(path).jobs] == [job.id for job in study.jobs]
    assert "questions.txt" not in read_study(path).to_toml()
    (tmp_path / "questions.txt").unlink()
    with pytest.raises(ValueError, match=r"study\.toml: prompts_file = 'questions\.txt': there is"):
        read_study(path)


def test_how_it_is_run_is_no_part_of_a_job(folder):
    ids = {job.id for job in Study.from_dict(declared(folder)).jobs}
    other = declared(folder, pack=1, token_budget=None, loading={"device": "cpu"}, name="other")
    assert {job.id for job in Study.from_dict(other).jobs} == ids


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"layers": []}, "layers must be a list of at least one number"),
        ({"layers": [1.5]}, "layers must be a list"),
        ({"layers": [1, 1]}, "name each only once"),
        ({"seeds": "0"}, "seeds must be a list"),
        ({"model": {}}, "needs a name"),
        ({"model": {"name": "a", "dytpe": "float32"}}, r"\[model\] has no 'dytpe'"),
        ({"methods": {}}, "at least one method"),
        ({"methods": {"a": {"maker": "magic"}}}, r"\[methods.a\] maker must be one of one-shot"),
        ({"methods": {"a": {"stepz": 3}}}, r"\[methods.a\] on \[examples.one\].*stepz"),
        ({"methods": {"a": {"coldness": 0}}}, r"\[methods.a\].*coldness must be a positive"),
        ({"methods": {"a": {"intervention": "affine"}}}, "a study keeps vectors"),
        ({"methods": {"a": {"noise": {"scale": -1}}}}, "noise needs a positive scale"),
        ({"methods": {"a": {"seed": 1}}}, "has no setting 'seed'"),
        ({"methods": {"a": {"maker": "random", "norms": 1}}}, "has no setting 'norms'"),
        ({"examples": {"one": {"prompt": "w1"}}}, "no example has what it needs"),
        ({"methods": {"a": {}}, "examples": {"one": {"promote": [" w1"]}}}, "it has no 'prompt'"),
        ({"examples": {"one": "w1"}}, r"\[examples.one\] must be a table"),
        ({"methods": {"a": 3}}, r"\[methods.a\] must be a table"),
        ({"measures": []}, "measures must be a table"),
        ({"name": "../up"}, "can name a folder"),
        ({"measures": {"m": {"measure": "x"}}}, r"\[measures.m\] measure must be one of"),
        ({"measures": {"m": {"measure": "kl"}}}, "prompts must be a list"),
        ({"measures": {"m": {"measure": "log-prob", "prompts": ["w1"]}}}, "give a completion"),
        (
            {"measures": {"m": {"measure": "kl", "prompts": ["w1"], "completions": []}}},
            "0 completions for 1 prompts",
        ),
        ({"act": "affine"}, "act must be one of"),
        ({"pack": 0}, "pack must be 1 or more"),
        ({"colour": "red"}, "a study has no 'colour'"),
        ({"methods": {"a": {"start": object()}}}, "texts, numbers, lists and tables only"),
    ],
)
def test_what_is_wrong_is_said(folder, changes, words):
    with pytest.raises(ValueError, match=words):
        Study.from_dict(declared(folder, **changes))


def test_a_file_that_is_no_study_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="no study file at"):
        read_study(tmp_path / "absent.toml")
    path = tmp_path / "bad.toml"
    path.write_text("name = ", encoding="utf-8")
    with pytest.raises(ValueError, match=r"bad\.toml: "):
        read_study(path)
    path.write_text("name = 'a'\nlayers = [1]\n", encoding="utf-8")
    with pytest.raises(ValueError, match="the study has no model and no methods and no examples"):
        read_study(path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ValueError, match=r"bad\.toml: "):
        read_study(path)


def test_the_declaration_that_the_docs_show_is_one(tmp_path):
    shown = textwrap.dedent(module.__doc__.split("names:")[1].split("Every key")[0])
    (tmp_path / "study.toml").write_text(shown, encoding="utf-8")
    (tmp_path / "questions.txt").write_text("Why?\nHow?\n", encoding="utf-8")
    study = read_study(tmp_path / "study.toml")
    assert len(study.jobs) == 9
    assert study.measures["held-out"]["prompts"] == ["Why?", "How?"]
