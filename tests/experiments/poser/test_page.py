"""The page says what was measured, and runs nothing of what models wrote."""

from tests.experiments.poser.test_program import SETTINGS
from workbench.experiments.poser.page import page
from workbench.experiments.poser.program import run_poser
from workbench.experiments.settings import read_scale
from workbench.runs import RunFolder


def test_it_has_the_papers_numbers_every_vector_and_the_limits(scenarios, tmp_path):
    with RunFolder(tmp_path, {}) as folder:
        found = run_poser(scenarios, SETTINGS, folder, progress=False)
    text = page(found, read_scale("poser", "embedded")).to_html()
    assert text.count("<figure") == 1
    for words in ("The paper's numbers and ours".replace("'", "&#x27;"), "Limits"):
        assert words.lower() in text.lower()
    assert "nan" not in text.split("<main>")[1].split("<script")[0].replace("tenant", "")
