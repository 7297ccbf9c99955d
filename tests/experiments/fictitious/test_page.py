"""The page says what was measured, and runs nothing of what models wrote."""

from tests.experiments.fictitious.test_program import SETTINGS
from workbench.experiments.fictitious.page import page
from workbench.experiments.fictitious.program import run_fictitious
from workbench.experiments.settings import read_scale
from workbench.runs import RunFolder


def test_it_has_the_papers_numbers_every_vector_and_the_limits(claims, tmp_path):
    with RunFolder(tmp_path, {}) as folder:
        found = run_fictitious(claims, SETTINGS, folder, progress=False)
    text = page(found, read_scale("fictitious", "embedded")).to_html()
    assert text.count("<figure") == 1
    for words in ("The paper's numbers and ours".replace("'", "&#x27;"), "Limits"):
        assert words.lower() in text.lower()
    assert "nan" not in text.split("<main>")[1].split("<script")[0].replace("tenant", "")
