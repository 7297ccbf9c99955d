"""The page says what was measured, and runs nothing of what models wrote."""

from dataclasses import replace

from tests.experiments.refusal.test_program import SETTINGS
from workbench.experiments.refusal.page import page
from workbench.experiments.refusal.program import run_refusal
from workbench.experiments.settings import read_scale
from workbench.runs import RunFolder


def test_it_has_the_papers_numbers_every_vector_and_the_limits(requests, tmp_path):
    with RunFolder(tmp_path, {}) as folder:
        found = run_refusal(requests, SETTINGS, folder, progress=False)
    text = page(found, read_scale("refusal", "embedded")).to_html()
    assert text.count("<figure") == 1
    for words in ("The paper's numbers and ours".replace("'", "&#x27;"), "Limits"):
        assert words.lower() in text.lower()
    for words in ("chosen on validation (", "median of all 4", "(a maximum on test)", "of_parent"):
        assert words in text
    assert "The two columns speak of different requests" in text
    given = page(replace(found, source="HarmBench"), read_scale("refusal", "embedded")).to_html()
    assert "different requests" not in given
    assert "of 2 (HarmBench)" in given
    assert "nan" not in text.split("<main>")[1].split("<script")[0].replace("tenant", "")
