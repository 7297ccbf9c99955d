from __future__ import annotations

import itertools

import numpy as np
import plotly.graph_objects as go
import plotly.io as pio
import pytest

from workbench.figures import CONFIG, theme, themed


def finished(**options) -> go.Figure:
    settings = {"title": "A title", "caption": "n = 3.", "plot_height": 200, **options}
    return theme.finish(go.Figure(go.Scatter(x=[0, 1], y=[0, 1])), **settings)


def test_templates_are_registered_and_not_made_default() -> None:
    assert {"workbench_light", "workbench_dark"} <= set(pio.templates)
    assert not str(pio.templates.default).startswith("workbench")


def test_no_share_button() -> None:
    assert CONFIG["showSendToCloud"] is False
    assert CONFIG["displaylogo"] is False
    for made in theme.TEMPLATES.values():
        assert {"sendChartToCloud", "sendDataToCloud"} <= set(made.layout.modebar.remove)
    assert theme.config("svg", "x")["toImageButtonOptions"] == {
        "format": "svg",
        "scale": 2,
        "filename": "x",
    }


@pytest.fixture
def renderer(monkeypatch: pytest.MonkeyPatch) -> str:
    """What JupyterLab's kernels take, as the default."""
    name = "plotly_mimetype"
    before = pio.renderers.default
    monkeypatch.setattr(pio.renderers[name], "config", {})
    pio.renderers.default = name
    yield name
    pio.renderers.default = before


def shown(figure: go.Figure) -> dict:
    """The configuration with which a cell shows a figure that is its last expression."""
    return figure._repr_mimebundle_()["application/vnd.plotly.v1+json"].get("config", {})


def test_a_bare_figure_shows_no_share_button_and_no_logo(renderer: str) -> None:
    for figure in (finished(), themed(finished(), "dark"), theme.without_frame(finished())[0]):
        assert {**shown(figure), **CONFIG} == shown(figure)


def test_a_shown_figure_too(renderer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    display = pytest.importorskip("IPython.display")
    bundles: list[dict] = []
    monkeypatch.setattr(display, "display", lambda bundle, raw: bundles.append(bundle))
    finished().show()
    finished()._ipython_display_()
    finished().show(renderer, config={"scrollZoom": True, "displaylogo": True})
    configs = [bundle["application/vnd.plotly.v1+json"]["config"] for bundle in bundles]
    assert [config["displaylogo"] for config in configs] == [False, False, True]
    assert configs[2]["scrollZoom"] is True
    assert not any(config["showSendToCloud"] for config in configs)


def test_plotly_is_left_as_it_was(renderer: str) -> None:
    finished()._repr_mimebundle_()
    assert pio.renderers[renderer].config == {}
    assert "displaylogo" not in shown(go.Figure())
    pio.renderers[renderer].config = {"displaylogo": True, "scrollZoom": True}
    assert shown(finished())["displaylogo"] is True  # the user's own word
    assert shown(finished())["scrollZoom"] is True
    assert shown(finished())["showSendToCloud"] is False
    with pytest.raises(ValueError, match="nonesuch"):
        finished().show("nonesuch")


def linear(colour: str) -> np.ndarray:
    """Linear RGB, 0 to 1."""
    c = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)


def luminance(colour: str) -> float:
    return float(linear(colour) @ [0.2126, 0.7152, 0.0722])


def contrast(a: str, b: str) -> float:
    high, low = sorted((luminance(a), luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("name", ["light", "dark"])
def test_colours_stand_out_from_the_paper(name: str) -> None:
    layout = theme.TEMPLATES[name].layout
    for colour in (*theme.PALETTE, theme.POSITIVE, theme.NEGATIVE):
        assert contrast(colour, layout.paper_bgcolor) > 2.2, colour
    assert contrast(layout.font.color, layout.paper_bgcolor) > 7
    assert contrast(layout.annotationdefaults.font.color, layout.paper_bgcolor) > 4.5


# Machado et al. (2009), severity 1, on linear RGB.
SIGHT = {
    "trichromat": np.eye(3),
    "deuteranope": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "protanope": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "tritanope": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}


def lab(colour: str, sight: str) -> np.ndarray:
    """The colour in CIELAB as it is seen."""
    seen = np.clip(np.asarray(SIGHT[sight]) @ linear(colour), 0, 1)
    to_xyz = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    xyz = np.asarray(to_xyz) @ seen / [0.9505, 1, 1.089]
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("sight", SIGHT)
def test_colours_stay_apart_for_every_eye(sight: str) -> None:
    pairs = [*itertools.combinations(theme.PALETTE, 2), (theme.POSITIVE, theme.NEGATIVE)]
    for a, b in pairs:
        assert np.linalg.norm(lab(a, sight) - lab(b, sight)) > 18, (a, b)


def test_groups_differ_in_colour_and_in_marker() -> None:
    for (a, b), (c, d) in itertools.combinations(theme.GROUPS.values(), 2):
        assert a != c
        assert b != d


def test_frame_texts_are_plain() -> None:
    figure = finished(title="<b>T</b> $x$", caption="c <i>" + " word" * 40)
    assert "<b>" not in figure.layout.title.text
    caption = next(a for a in figure.layout.annotations if a.name == "caption")
    assert "&lt;i&gt;" in caption.text
    assert max(len(line) for line in caption.text.split("<br>")) < theme.CAPTION_COLUMNS + 20
    assert figure.layout.width is None
    assert figure.layout.meta["title"] == "<b>T</b> $x$"


def test_frame_can_be_taken_off() -> None:
    figure = finished(caption="c " * 60)
    bare, title, caption = theme.without_frame(figure)
    assert (title, caption) == ("A title", "c " * 60)
    assert not bare.layout.annotations
    assert bare.layout.title.text == ""
    plot = [f.layout.height - f.layout.margin.t - f.layout.margin.b for f in (figure, bare)]
    assert plot[0] == plot[1] == 200
    assert figure.layout.annotations  # the figure given is untouched
    other = go.Figure(layout={"title": {"text": "mine"}})
    assert theme.without_frame(other)[0].layout.title.text == "mine"


def test_themed_copies() -> None:
    figure = finished()
    dark = themed(figure, "dark")
    assert dark.layout.template.layout.paper_bgcolor == "#14181d"
    assert figure.layout.template.layout.paper_bgcolor == "#ffffff"
    assert dark.layout.title.text == figure.layout.title.text


def test_left_margin_grows_with_the_labels() -> None:
    assert theme.left_margin(["&lt;" * 10]) == theme.left_margin(["a" * 10])
    assert theme.left_margin(["a" * 30]) > theme.left_margin(["a" * 10])
