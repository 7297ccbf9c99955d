"""Figures become pictures where kaleido and a Chrome are; elsewhere the error says what lacks."""

import shutil
import sys

import plotly.graph_objects as go
import pytest

from workbench.evaluation import proportion
from workbench.figures import draw_rates, export

MAGIC = {"png": b"\x89PNG", "svg": b"<svg", "pdf": b"%PDF"}
CHROMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


@pytest.fixture
def figure():
    return draw_rates({"a": proportion(3, 4)})


@pytest.mark.parametrize("kind", MAGIC)
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_picture_is_written(figure, tmp_path, kind, theme):
    pytest.importorskip("kaleido")
    if not any(map(shutil.which, CHROMES)):
        pytest.skip("there is no Chrome here")
    path = export(figure, tmp_path / f"figure.{kind}", theme=theme)
    assert path.read_bytes().startswith(MAGIC[kind])
    assert [each.name for each in tmp_path.iterdir()] == [f"figure.{kind}"]


def test_another_ending_is_refused(figure, tmp_path):
    with pytest.raises(ValueError, match=r"must end in one of \.png, \.svg, \.pdf"):
        export(figure, tmp_path / "figure.eps")


def test_without_kaleido_or_chrome_the_error_says_so_and_nothing_is_written(
    figure, tmp_path, monkeypatch
):
    monkeypatch.setitem(sys.modules, "kaleido", None)
    with pytest.raises(RuntimeError, match=r"steering-workbench\[export\]"):
        export(figure, tmp_path / "figure.png")

    class ChromeNotFoundError(RuntimeError):
        pass

    def fails(*args, **options):
        raise ChromeNotFoundError("Kaleido requires Google Chrome to be installed.")

    monkeypatch.setitem(sys.modules, "kaleido", sys)
    monkeypatch.setattr(go.Figure, "to_image", fails)
    with pytest.raises(RuntimeError, match="install Chrome or Chromium"):
        export(figure, tmp_path / "figure.png")
    assert not list(tmp_path.iterdir())
