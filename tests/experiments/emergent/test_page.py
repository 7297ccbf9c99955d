"""Both pages."""

from tests.conftest import boot
from tests.experiments.emergent import test_pipeline, test_spread
from workbench.experiments.emergent import run_misalignment, run_spread
from workbench.experiments.emergent.page import misalignment_page, spread_page
from workbench.experiments.emergent.spread import Question
from workbench.experiments.settings import read_scale
from workbench.runs import RunFolder


def test_the_analogs_page(tiny, tmp_path):
    questions = [Question(f"w{i} w{i + 1}", f"w{i + 30}", f"w{i + 50}") for i in range(28)]
    with RunFolder(tmp_path, {}) as folder:
        found = run_spread(tiny, test_spread.SETTINGS, folder, questions, False)
    by_vector = found.by_vector()
    assert by_vector["kind"].value_counts()["wrong"] == test_spread.SETTINGS.vectors
    text = spread_page(found, read_scale("emergent-misalignment", "embedded")).to_html()
    assert text.count("<figure") == 1
    assert "wrong answer" in text
    assert "Limits" in text


def test_the_pipelines_page_with_and_without_a_judge(tokenizers, tmp_path):
    scale = read_scale("emergent-misalignment", "paper")
    model, folder = boot("qwen2", tokenizers), RunFolder(tmp_path, {})
    for judge in (None, lambda questions, answers: [True] * len(answers)):
        with folder:
            found = run_misalignment(model, test_pipeline.SETTINGS, folder, judge, progress=False)
        text = misalignment_page(found, scale).to_html()
        assert ("Misaligned answers" in text) == (judge is not None)
        assert "Answers side by side" in text
