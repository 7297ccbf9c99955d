"""The notebooks run from top to bottom, and their percent scripts say the same."""

from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
QUICK = ("01", "02")  # run in `make test`; all of them in `make test-all`
SAYS = {"01": "I'm sorry for any confusion, but"}


def read(path):
    return pytest.importorskip("nbformat").read(path, as_version=4)


def test_every_notebook_has_a_script_and_every_script_a_notebook():
    assert [path.stem for path in NOTEBOOKS] == sorted(path.stem for path in FOLDER.glob("*.py"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=[path.stem for path in NOTEBOOKS])
def test_the_script_of_a_notebook_says_the_same(path):
    jupytext = pytest.importorskip("jupytext")
    script = jupytext.read(path.with_suffix(".py"))
    cells = [
        [(cell.cell_type, cell.source) for cell in each.cells] for each in (read(path), script)
    ]
    assert cells[0] == cells[1], "run `make notebooks-sync`"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=[path.stem for path in NOTEBOOKS])
def test_a_notebook_is_committed_without_outputs(path):
    code = [cell for cell in read(path).cells if cell.cell_type == "code"]
    assert not any(cell.outputs or cell.execution_count for cell in code)


@pytest.mark.embedded
@pytest.mark.parametrize(
    "path",
    [
        pytest.param(path, marks=[] if path.stem.startswith(QUICK) else pytest.mark.slow)
        for path in NOTEBOOKS
    ],
    ids=[path.stem for path in NOTEBOOKS],
)
def test_a_notebook_runs(path):
    nbclient = pytest.importorskip("nbclient")
    notebook = read(path)
    nbclient.NotebookClient(notebook, timeout=900, kernel_name="python3").execute()
    text = "".join(str(cell.get("outputs")) for cell in notebook.cells)
    assert SAYS.get(path.stem[:2], "") in text
