"""The page of a study has a figure for each of its questions."""

from tests.experiments.study.conftest import SETTINGS
from workbench.experiments.settings import read_scale
from workbench.experiments.study import run_study
from workbench.experiments.study.page import page
from workbench.runs import RunFolder


def test_it_has_a_figure_a_question(study, tmp_path):
    found = run_study(study, SETTINGS, RunFolder(tmp_path, {}), progress=False)
    scale = read_scale("emergent-misalignment", "embedded")
    text = page(found, study, scale, "emergent-misalignment").to_html()
    assert text.count("<figure") == 3 + bool(len(found.correlations()))
    for words in ("example or the seed", "more examples", "L-BFGS", "beforehand", study.wanted):
        assert words in text
