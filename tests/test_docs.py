"""What the docs name is there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8")):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_every_defect_of_the_published_code_has_a_test_that_exists():
    text = (ROOT / "docs" / "published_code.md").read_text(encoding="utf-8")
    named = re.findall(r"\[`\w+\.py::(\w+)`\]\(\.\./([\w/.]+)\)", text)
    assert len(named) > 30
    for test, file in named:
        assert f"def {test}(" in (ROOT / file).read_text(encoding="utf-8"), f"{file}::{test}"
    rows = re.findall(r"^\| (\w) \|", text, flags=re.MULTILINE)
    assert rows == [*"ABCDEFGHIJKLMNOPQU"]


def test_the_readmes_study_can_be_declared(tmp_path):
    from workbench.runs import read_study

    text = (ROOT / "README.md").read_text(encoding="utf-8")
    (declared,) = re.findall(r"```toml\n(.*?)```", text, flags=re.DOTALL)
    path = tmp_path / "study.toml"
    path.write_text(declared, encoding="utf-8")
    study = read_study(path)
    assert len(study.jobs) == 2 * 3 * 3
