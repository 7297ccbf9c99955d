"""Notebook 1 in JupyterLab, to its end, and the explorer on its model, in a real browser.

SCREENSHOTS=folder keeps a picture of each state.
"""

import re
import shutil
from pathlib import Path

import pytest

from tests.conftest import TL3
from tests.explorer.browser import chromium, jupyterlab, opened, save_notebook

pytest.importorskip("ipywidgets")
pytest.importorskip("jupyterlab")
pytest.importorskip("playwright", reason="needs playwright: pip install '.[browser]'")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.browser,
    pytest.mark.embedded,
    pytest.mark.xdist_group("browser"),
    pytest.mark.skipif(chromium() is None, reason="needs Chromium (apt-get install chromium)"),
    pytest.mark.skipif(TL3, reason="its notebook loads a bridge"),
]

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "01_one_shot_steering.ipynb"
HOOKS = """\
from workbench.models.plain import plain_of

def hooks():
    parts = [*model.original_model.modules(), *plain_of(model).hf_model.modules()]
    return [(list(part._forward_hooks), list(part._forward_pre_hooks)) for part in parts]

before = hooks()  # a bridge has some of its own"""
PANEL = """\
panel = wb.explore(model, run.vector.labelled("sorry"), "Suggest a name for a pet cat.")
panel"""
LEFT = """\
panel.ground.quick.wait(), panel.ground.long.wait()
print(f"hooks left: {hooks() != before}; {panel.steer.status.value}")"""
SETS = {
    "first set": [
        f"How do I {what}?"
        for what in (
            "boil an egg",
            "plant a tree",
            "fix a tap",
            "bake bread",
            "fold a shirt",
            "dry herbs",
        )
    ],
    "second set": [
        f"Who was {who}?"
        for who in ("Ada Lovelace", "Marie Curie", "Isaac Newton", "Homer", "Mozart", "Rembrandt")
    ],
}
INK = "n => getComputedStyle(n.querySelector('.gtitle')).fill"
SORRY = "I'm sorry for any confusion, but"


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    """The notebook in the browser, three cells added to it."""
    nbformat = pytest.importorskip("nbformat")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    notebook.cells += [nbformat.v4.new_code_cell(cell) for cell in (HOOKS, PANEL, LEFT)]
    folder = tmp_path_factory.mktemp("notebooks")
    save_notebook(notebook, folder / "one.ipynb")
    home = tmp_path_factory.mktemp("home")
    with jupyterlab(folder, home) as address, opened(address, "one.ipynb") as page:
        yield page
    shutil.rmtree(folder)


@pytest.fixture(autouse=True)
def nothing_is_complained_of(seen):
    yield
    assert seen.complaints == []


def steered_tokens(seen):
    """The likeliest next token, unsteered and steered, with their probabilities."""
    row = seen.panel().locator("table tbody tr").first
    return row.locator("td").all_inner_texts()


def slide(seen, name, *keys):
    seen.panel().get_by_role("slider", name=name, exact=True).focus()
    for key in keys:
        seen.page.keyboard.press(key)


def test_notebook_one_runs_to_its_end(seen):
    seen.run_all()
    outputs = seen.page.locator(".jp-Notebook .jp-OutputArea-output")
    assert outputs.filter(has_text=f"steered:   {SORRY}").count() == 1
    assert seen.page.locator(".jp-RenderedPlotly, .jp-OutputArea .js-plotly-plot").count() >= 2
    seen.panel().get_by_role("button", name="Generate").wait_for()


def test_a_prompt_is_typed_and_a_slider_moved(seen):
    panel = seen.panel()
    seen.until(lambda: panel.locator("table tbody tr").count() == 5)
    first = steered_tokens(seen)
    panel.get_by_label("Prompt", exact=True).fill("How do I boil an egg?")
    seen.until(lambda: steered_tokens(seen)[:2] != first[:2])
    seen.until(lambda: steered_tokens(seen)[2] == "'I'")
    assert steered_tokens(seen)[0] != "'I'"
    seen.picture("embedded_steer_before")
    slide(seen, "scale of sorry", *["ArrowLeft"] * 20)  # to 0
    seen.until(lambda: steered_tokens(seen)[:2] == steered_tokens(seen)[2:])
    slide(seen, "scale of sorry", *["ArrowRight"] * 20)
    seen.until(lambda: steered_tokens(seen)[2] == "'I'")


def test_the_steered_answer_is_the_one_that_was_promoted(seen):
    panel = seen.panel()
    slide(seen, "tokens", "Home", *["ArrowRight"] * 19)
    panel.get_by_role("button", name="Generate").click()
    panel.get_by_text("done", exact=True).wait_for()
    assert SORRY in panel.inner_text()
    assert panel.locator('span[title^="log-prob"]').count() >= 15
    seen.picture("embedded_steer_after")


def test_a_small_vector_is_optimized(seen):
    panel = seen.panel()
    panel.get_by_label("promote").fill("Of course!")
    slide(seen, "steps", "Home", *["ArrowRight"] * 5)
    panel.get_by_role("button", name="Optimize a vector").click()
    panel.get_by_text("best at step").wait_for(timeout=60_000)
    panel.get_by_text("Of course!, layer 15").wait_for()
    assert seen.drawn().first.locator(".scatterlayer path.js-line").count() == 1
    seen.picture("embedded_optimized")


def test_a_cell_of_the_lens_says_what_is_behind_it(seen):
    panel = seen.panel()
    panel.get_by_role("tab", name="Lens").click()
    panel.get_by_role("button", name="Draw").locator("visible=true").click()
    seen.click_in(seen.drawn().first, 0.99, 0.01)
    panel.get_by_text("steered: layer out, after").wait_for()
    panel.get_by_text("logits, promoted less suppressed").first.wait_for()
    seen.picture("embedded_lens")


def test_vectors_are_compared_and_two_sets_read(seen):
    pytest.importorskip("sklearn")
    panel = seen.panel()
    panel.get_by_role("tab", name="Geometry").click()
    panel.get_by_role("button", name="Draw").locator("visible=true").click()
    seen.click_in(seen.drawn().first, 0.9, 0.1)
    panel.get_by_text("suppresses").nth(1).wait_for()
    seen.picture("embedded_geometry")
    panel.get_by_role("tab", name="Structure").click()
    for name, prompts in SETS.items():
        panel.get_by_label(name).fill("\n".join(prompts))
    panel.get_by_role("button", name="Read").click()
    assert seen.drawn(2).first.locator(".scatterlayer .points path").count() == 12
    seen.picture("embedded_structure")


def test_every_tab_fits_a_narrow_dark_window(seen):
    panel = seen.panel()
    seen.theme("JupyterLab Dark")
    seen.page.set_viewport_size({"width": 600, "height": 900})
    for tab in ("Steer", "Lens", "Geometry", "Structure"):
        panel.get_by_role("tab", name=tab).click()
        plot = seen.drawn().first
        seen.until(lambda plot=plot: plot.evaluate(INK) == "rgb(217, 223, 230)")
        seen.until(lambda: panel.evaluate("n => n.scrollWidth - n.clientWidth") <= 1)
        seen.picture(f"embedded_narrow_{tab.lower()}")
    seen.theme("JupyterLab Light")
    seen.page.set_viewport_size({"width": 1280, "height": 900})
    panel.get_by_role("tab", name="Steer").click()


def test_the_kernels_interrupt_stops_the_answer_and_leaves_no_hook(seen):
    panel = seen.panel()
    slide(seen, "tokens", "End")
    panel.get_by_role("button", name="Generate").click()
    panel.get_by_text(re.compile(r"^unsteered: \d+ tokens")).first.wait_for()
    seen.command("notebook:interrupt-kernel")
    panel.get_by_text(re.compile(r"^stopped after \d+ tokens")).first.wait_for()
    seen.run_cell(-1)
    said = seen.page.locator(".jp-OutputArea-output", has_text="hooks left: False; stopped after")
    said.wait_for()
