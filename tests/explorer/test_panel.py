"""The panel without a browser: what its controls do, and what they leave behind."""

import json
import time

import pytest
import torch

import workbench as wb
from tests.conftest import all_modules
from workbench.methods import random_vector

pytest.importorskip("ipywidgets")
pytest.importorskip("anywidget")

from workbench.explorer import lens_tab


@pytest.fixture
def vectors():
    like = wb.SteeringVector(4 * torch.ones(32), 1)
    return [random_vector(like, seed, f"v{seed}") for seed in range(2)]


@pytest.fixture
def panel(tiny, vectors):
    made = wb.explore(tiny, vectors, "w1 w2 w3")
    yield made
    made.close()
    assert not any(module._forward_hooks for module in all_modules(tiny))


def sent(chart):
    """The layout that the page was given last."""
    return json.loads(chart.plot.figure)["layout"]


def settled(panel):
    assert panel.ground.quick.wait(60)
    assert panel.ground.long.wait(60)
    return panel.ground.alert.value


def test_the_likeliest_tokens_follow_the_controls(panel):
    assert settled(panel) == ""
    before = panel.steer.top.value
    assert before.count("<tr>") == 6
    row = panel.vectors.rows.children[0]
    row.children[1].value = 4.0
    settled(panel)
    after = panel.steer.top.value
    assert after != before
    row.children[0].value = False
    panel.vectors.rows.children[1].children[0].value = False
    settled(panel)
    cells = panel.steer.top.value.split("<tr>")[2]
    unsteered, steered = cells.count("%"), cells.split("<td")[1:]
    assert unsteered == 2
    assert steered[0].split(">")[1] == steered[2].split(">")[1]  # nothing is on


def test_what_a_slider_does_not_change_is_not_run_again(panel, tiny, monkeypatch):
    settled(panel)
    asked = []
    real = panel.steer._likeliest
    monkeypatch.setattr(
        panel.steer,
        "_likeliest",
        lambda text, steering: asked.append(len(steering)) or real(text, steering),
    )
    slider = panel.vectors.rows.children[0].children[1]
    slider.value = 3.0
    settled(panel)
    assert asked == [2]
    panel.prompt.value = "w4"
    settled(panel)
    assert asked == [2, 0, 2]
    with torch.no_grad():
        next(iter(tiny.parameters())).mul_(1.1)
    slider.value = 2.0
    settled(panel)
    assert asked == [2, 0, 2, 0, 2]


def test_both_answers_are_those_of_generate(panel, tiny):
    panel.steer.controls["tokens"].value = 5
    panel.steer.generate.click()
    assert settled(panel) == ""
    prompt = panel.state.text()
    text = wb.generate(tiny, [prompt], max_new_tokens=5, progress=False)[0]
    steered = wb.generate(tiny, [prompt], panel.state.steering(), max_new_tokens=5, progress=False)[
        0
    ]
    assert text.strip() in panel.steer.unsteered.value
    assert panel.steer.steered.value.count("<span") >= len(steered.split())
    assert panel.steer.status.value == "done"


def test_stop_comes_within_a_token(panel):
    panel.steer.controls["tokens"].value = 100
    panel.steer.generate.click()
    time.sleep(0.05)
    panel.steer.stop.click()
    assert settled(panel) == ""
    assert "stopped" in panel.steer.status.value


def test_an_optimized_vector_appears_in_the_list_with_its_curve(panel):
    box = panel.optimize
    box.promote.value, box.steps.value, box.layer.value = "w5 w6", 4, 2
    box.start.click()
    assert settled(panel) == ""
    assert panel.state.vectors[-1].label == "w5 w6"
    assert len(panel.vectors.rows.children) == 3
    assert len(box.curve.figure.data[0].y) == 5  # before each of four steps, and after the last
    assert "loss" in box.status.value


def test_the_lens_and_what_is_behind_a_cell(panel):
    for view in ("steered", "unsteered", "difference"):
        panel.lens.view.value = view
        panel.lens.look()
        assert settled(panel) == ""
        assert panel.lens.grid.widget.children == (panel.lens.grid.plot,)
        assert len(panel.lens.grid.figure.data) >= 1
        panel.lens.open(3, 2)
        assert settled(panel) == ""
        assert "layer 3" in panel.lens.behind.children[0].children[0].value


def test_the_unsteered_lens_is_read_once_for_all_scales(panel, monkeypatch):
    asked = []

    def reading(*args, steering=(), **options):
        asked.append(len(steering))
        return wb.analysis.logit_lens(*args, steering=steering, **options)

    monkeypatch.setattr(lens_tab, "logit_lens", reading)
    panel.lens.target.value = "w5"
    panel.lens.follow.value = True
    panel.lens.view.value = "difference"
    assert settled(panel) == ""
    panel.vectors.rows.children[0].children[1].value = 3.0
    assert settled(panel) == ""
    assert asked == [0, 2, 2]
    panel.lens.target.value = "w6"
    panel.lens.look()
    assert settled(panel) == ""
    assert asked == [0, 2, 2, 0, 2]


def test_a_token_is_written_as_the_tokenizer_would_read_it(tiny):
    text = "w1 w2"
    token = tiny.tokenizer.convert_tokens_to_ids("w5")
    assert lens_tab._as_completion(tiny, text, token) in ("w5", " w5")


def test_geometry_and_a_pair(panel):
    panel.geometry.look()
    assert settled(panel) == ""
    panel.geometry.open(0, 1)
    assert settled(panel) == ""
    assert [
        ("v0" in c.children[0].value, "v1" in c.children[0].value)
        for c in panel.geometry.pair.children
    ] == [
        (True, False),
        (False, True),
    ]


def test_structure_reads_two_sets(panel):
    pytest.importorskip("sklearn")
    for box, k in zip(panel.structure.boxes, (1, 2), strict=True):
        box.value = "\n".join(f"w{k} w{i}" for i in range(6))
    panel.structure.look()
    assert settled(panel) == ""
    assert panel.structure.plane.figure is not None
    assert panel.structure.separation.figure is not None
    panel.structure.layer.value = 1
    assert settled(panel) == ""


def test_errors_are_words_in_the_panel_and_then_gone(panel):
    panel.prompt.value = ""
    panel.steer.generate.click()
    assert "prompt is empty" in settled(panel)
    assert 'role="alert"' in panel.ground.alert.value
    panel.prompt.value = "w1 <script>alert(1)</script> <b>w2</b>"
    assert settled(panel) == ""
    panel.prompt.value = "w1 " * 500
    assert "context" in settled(panel)
    panel.prompt.value = "w1"
    panel.state.entries[0].scale = float("nan")
    panel.steer.generate.click()
    assert "finite" in settled(panel)
    panel.state.entries[0].scale = 1.0
    panel.optimize.promote.value, panel.optimize.norm.value = "w5", float("nan")
    panel.optimize.start.click()
    assert "norm" in settled(panel)
    panel.vectors.folder.value = "/absent/folder"
    panel.vectors.load()
    assert "no vector file" in settled(panel)


def test_two_panels_on_one_model_take_turns(tiny, vectors):
    panels = [wb.explore(tiny, vectors[i : i + 1], "w1 w2") for i in range(2)]
    for each in panels:
        each.steer.controls["tokens"].value = 8
        each.steer.generate.click()
    for each in panels:
        assert settled(each) == ""
        assert each.steer.status.value == "done"
        each.close()
    prompt = panels[0].state.text()
    for each in panels:
        alone = wb.generate(
            tiny, [prompt], each.state.steering(), max_new_tokens=8, progress=False
        )[0]
        assert each.steer.steered.value.count("<span") >= len(alone.split())
    assert not any(module._forward_hooks for module in all_modules(tiny))


def test_code_and_bad_arguments(panel, tiny):
    panel._code()
    assert "wb.load_model" in panel.code.value
    with pytest.raises(ValueError, match="two sets"):
        wb.explore(tiny, prompts={"a": ["w1"]})
    with pytest.raises(ValueError, match="16 wide"):
        wb.explore(tiny, wb.SteeringVector(torch.ones(16), 1))


def test_figures_go_into_one_widget_and_follow_the_page(panel):
    panel.geometry.look()
    assert settled(panel) == ""
    chart = panel.geometry.map
    plot, paper = chart.plot, sent(chart)["template"]["layout"]["paper_bgcolor"]
    assert sent(chart)["width"] == 700
    panel.ground.surroundings.width = 500
    panel.ground.surroundings.dark = True
    assert sent(chart)["width"] == 456
    assert sent(chart)["template"]["layout"]["paper_bgcolor"] != paper
    panel.geometry.look()
    assert settled(panel) == ""
    assert chart.plot is plot
    assert sent(chart)["width"] == 456
    chart.clear()
    panel.ground.surroundings.width = 600
    assert sent(chart)["width"] == 456, "what is not shown is left alone"


def test_a_click_opens_what_was_clicked(panel):
    panel.lens.look()
    assert settled(panel) == ""
    panel.lens.grid.plot._handle_custom_msg({"trace": 0, "point": [3, 2]}, [])
    panel.lens.grid.plot._handle_custom_msg({"trace": 7, "point": 1}, [])
    assert settled(panel) == ""
    assert "layer 3, after &#x27;w1&#x27;_2" in panel.lens.behind.children[0].children[0].value


def test_what_is_typed_never_becomes_markup(panel):
    nasty = '<img src=x onerror="alert(1)"><script>alert(2)</script>'
    panel.prompt.value = f"w1 {nasty}"
    panel.optimize.promote.value, panel.optimize.steps.value = nasty, 2
    panel.optimize.start.click()
    assert settled(panel) == ""
    panel.geometry.look()
    assert settled(panel) == ""
    panel.geometry.open(0, 2)
    panel.lens.look()
    assert settled(panel) == ""
    panel.steer.controls["tokens"].value = 4
    panel.steer.generate.click()
    assert settled(panel) == ""
    panel._code()
    shown = [panel.code.value, panel.steer.top.value, panel.steer.steered.value]
    shown += [each.value for box in panel.geometry.pair.children for each in box.children]
    assert any("&lt;" in text for text in shown)
    assert not any("<img" in text or "<script" in text for text in shown)
    for row in panel.vectors.rows.children:
        assert not row.children[0].description_allow_html
    labels = "".join(map(str, panel.geometry.map.figure.data[0].x or ()))
    ticks = "".join(panel.geometry.map.figure.layout.xaxis.ticktext or ())
    assert "<img" not in labels + ticks


def test_the_lens_refuses_a_prompt_that_would_fill_the_memory(panel, monkeypatch):
    monkeypatch.setattr("workbench.explorer.lens_tab.LONGEST", 8)
    panel.prompt.value = "w1 " * 20
    panel.lens.look()
    assert "the lens reads 8 tokens at most" in settled(panel)
    panel.prompt.value = "w1"
    panel.lens.look()
    assert settled(panel) == ""
