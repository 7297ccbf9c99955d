"""The explorer in JupyterLab, in a real browser: what a reader does, and what is seen.

SCREENSHOTS=folder keeps a picture of each state.
"""

import shutil

import pytest

from tests.conftest import TL3, make_tokenizer, tiny_hf
from tests.explorer.browser import chromium, jupyterlab, opened, write_notebook

pytest.importorskip("ipywidgets")
pytest.importorskip("jupyterlab")
pytest.importorskip("playwright", reason="needs playwright: pip install '.[browser]'")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.browser,
    pytest.mark.xdist_group("browser"),
    pytest.mark.skipif(chromium() is None, reason="needs Chromium (apt-get install chromium)"),
    pytest.mark.skipif(TL3, reason="its notebook loads a bridge"),
]

MODEL = """\
import workbench as wb
from workbench.methods import random_vector
from workbench.models.plain import plain_of
import torch

model = wb.load_model("tiny")

def hooks():
    parts = [*model.original_model.modules(), *plain_of(model).hf_model.modules()]
    return [(list(part._forward_hooks), list(part._forward_pre_hooks)) for part in parts]

before = hooks()  # a bridge has some of its own
like = wb.SteeringVector(torch.full((32,), 0.5), 1)
vectors = [random_vector(like, seed).labelled(f"control {seed}") for seed in range(2)]"""
PANEL = "panel = wb.explore(model, vectors, 'w1 w2 w3')\npanel"
HOOKS = """\
panel.ground.quick.wait()
print("hooks left:", hooks() != before)"""
NASTY = '<img src=x onerror="window.stolen=1"><script>window.stolen=1</script>'


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """A JupyterLab on a folder with a tiny model and a notebook that explores it."""
    folder = tmp_path_factory.mktemp("notebooks")
    tiny_hf("llama").save_pretrained(folder / "tiny")
    make_tokenizer(folder / "tiny", bos=True)
    write_notebook(folder / "explorer.ipynb", [MODEL, PANEL, PANEL, HOOKS])
    with jupyterlab(folder, tmp_path_factory.mktemp("home")) as address:
        yield address
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def seen(lab):
    """The notebook in the browser, its panel shown."""
    with opened(lab, "explorer.ipynb") as page:
        page.run_cell(0)
        page.run_cell(1)
        page.panel().get_by_role("button", name="Generate").wait_for()
        yield page


@pytest.fixture(autouse=True)
def nothing_is_complained_of(seen):
    yield
    assert seen.complaints == []
    assert seen.page.evaluate("window.stolen") is None


def next_tokens(seen):
    return seen.panel().locator("table").first.inner_text()


def test_a_prompt_is_typed_and_a_slider_moved(seen):
    panel = seen.panel()
    seen.until(lambda: panel.locator("table tbody tr").count() == 5)
    first = next_tokens(seen)
    panel.get_by_label("Prompt", exact=True).fill("w7 w8 w9 w10")
    seen.until(lambda: next_tokens(seen) != first)
    typed = next_tokens(seen)
    panel.get_by_role("slider", name="scale of control 0").focus()
    for _ in range(20):
        seen.page.keyboard.press("ArrowRight")
    seen.until(lambda: next_tokens(seen) != typed)
    assert "2.00" in panel.inner_text()
    seen.picture("steer_before")


def test_both_answers_are_written(seen):
    panel = seen.panel()
    panel.get_by_role("button", name="Generate").click()
    panel.get_by_text("done", exact=True).wait_for()
    assert panel.locator('span[title^="log-prob"]').count() >= 10
    seen.picture("steer_after")


def test_a_vector_is_optimized_and_its_loss_drawn(seen):
    panel = seen.panel()
    panel.get_by_label("promote").fill("w5 w6")
    panel.get_by_role("button", name="Optimize a vector").click()
    panel.get_by_text("best at step").wait_for()
    panel.get_by_text("w5 w6, layer 2").wait_for()
    assert seen.drawn().first.locator(".scatterlayer path.js-line").count() == 1
    seen.picture("optimized")


def test_a_cell_of_the_lens_says_what_is_behind_it(seen):
    panel = seen.panel()
    panel.get_by_role("tab", name="Lens").click()
    panel.get_by_role("button", name="Draw").locator("visible=true").click()
    grid = seen.drawn().first
    seen.click_in(grid, 0.9, 0.1)
    panel.get_by_text("steered: layer out, after").wait_for()
    seen.picture("lens")
    for view in ("unsteered", "difference"):
        panel.get_by_role("button", name=view).click()
        seen.until(
            lambda view=view: (
                (view if view == "unsteered" else "changes")
                in grid.locator(".gtitle").text_content()
            )
        )
    seen.picture("lens_difference")


def test_a_cell_of_the_map_tells_of_two_vectors(seen):
    panel = seen.panel()
    panel.get_by_role("tab", name="Geometry").click()
    panel.get_by_role("button", name="Draw").locator("visible=true").click()
    seen.click_in(seen.drawn().first, 0.5, 0.1)
    panel.get_by_text("suppresses").nth(1).wait_for()
    assert "random, seed 1" in panel.inner_text()
    seen.picture("geometry")


def test_two_sets_are_read_and_a_point_shows_its_prompt(seen):
    pytest.importorskip("sklearn")
    panel = seen.panel()
    panel.get_by_role("tab", name="Structure").click()
    for name, word in (("first set", "w1"), ("second set", "w2")):
        lines = [f"{word} w{i}" for i in range(6)]
        lines[0] += f" {NASTY}"
        panel.get_by_label(name).fill("\n".join(lines))
    panel.get_by_role("button", name="Read").click()
    points = seen.drawn(2).first.locator(".scatterlayer .points path")
    box = points.nth(0).bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    seen.page.wait_for_timeout(500)
    seen.page.mouse.move(x, y)
    seen.page.wait_for_timeout(300)
    seen.page.mouse.click(x, y)
    panel.locator("div", has_text="onerror").last.wait_for()
    seen.picture("structure")


def test_errors_are_words_and_markup_is_text(seen):
    panel = seen.panel()
    panel.get_by_role("tab", name="Steer").click()
    prompt = panel.get_by_label("Prompt", exact=True)
    prompt.fill("")
    panel.get_by_role("button", name="Generate").click()
    panel.get_by_role("alert").wait_for()
    assert "the prompt is empty" in panel.get_by_role("alert").inner_text()
    seen.picture("error")
    prompt.fill("w1 " * 5000)
    panel.get_by_text("longer than").or_(panel.get_by_text("context")).first.wait_for()
    prompt.fill(f"w1 {NASTY} w2")
    seen.until(lambda: panel.get_by_role("alert").count() == 0)
    panel.get_by_label("promote").fill(NASTY)
    panel.get_by_role("button", name="Optimize a vector").click()
    panel.get_by_text(NASTY[:20]).first.wait_for()
    panel.get_by_role("button", name="Generate").click()
    panel.get_by_text("done", exact=True).wait_for()
    panel.get_by_role("button", name="Copy as code").click()
    panel.get_by_text("import workbench as wb").wait_for()
    panel.get_by_role("tab", name="Geometry").click()
    panel.get_by_role("button", name="Draw").locator("visible=true").click()
    seen.drawn().first.get_by_text("<img src").first.wait_for()
    assert panel.locator("img, script").count() == 0
    panel.get_by_role("tab", name="Steer").click()


def test_figures_follow_the_theme_and_the_width(seen):
    panel = seen.panel()
    seen.theme("JupyterLab Dark")
    plot = seen.drawn().first
    ink = "n => getComputedStyle(n.querySelector('.gtitle')).fill"
    seen.until(lambda: plot.evaluate(ink) == "rgb(217, 223, 230)")
    seen.picture("dark")
    seen.page.set_viewport_size({"width": 420, "height": 900})
    seen.until(lambda: plot.bounding_box()["width"] <= 420)
    sticks_out = "n => [n.scrollWidth, n.clientWidth]"
    seen.until(lambda: panel.evaluate(sticks_out)[0] <= panel.evaluate(sticks_out)[1] + 1)
    seen.picture("narrow")
    seen.theme("JupyterLab Light")
    seen.page.set_viewport_size({"width": 1280, "height": 900})


def test_a_second_panel_on_the_model_and_no_hook_left(seen):
    seen.run_cell(2)
    panels = [seen.panel(0), seen.panel(1)]
    for panel in panels:
        panel.get_by_role("button", name="Generate").click()
    for panel in panels:
        panel.get_by_text("done", exact=True).wait_for()
    seen.run_cell(3)
    seen.page.locator(".jp-OutputArea-output", has_text="hooks left: False").wait_for()
