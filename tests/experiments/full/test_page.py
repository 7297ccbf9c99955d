"""The page has a figure for each of its questions."""

from tests.experiments.full.conftest import SETTINGS
from workbench.experiments.full import run_full
from workbench.experiments.full.page import page
from workbench.experiments.settings import read_scale
from workbench.runs import RunFolder


def test_it_has_a_figure_a_question(task, tmp_path):
    with RunFolder(tmp_path, {}) as folder:
        found = run_full(task, SETTINGS, folder, progress=False)
    scale = read_scale("emergent-misalignment", "embedded")
    text = page(found, task, scale, "emergent-misalignment").to_html()
    assert text.count("<figure") == 4 + bool(len(found.correlations()))
    for words in ("example or the seed", "more examples", "L-BFGS", "beforehand", task.wanted):
        assert words in text
