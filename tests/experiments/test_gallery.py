"""The gallery has every figure, on a tiny model too."""

from pathlib import Path

import pytest

from tests.experiments.test_demo import SETTINGS
from workbench import figures
from workbench.experiments import demo_report, gallery
from workbench.experiments.gallery import write_gallery

pytest.importorskip("sklearn")
# Drawn where experiments are, not from one model.
LATER = {"draw_comparison", "draw_correlations", "draw_flips", "draw_refusal_comparison"}


def test_every_figure_is_drawn(tiny, tmp_path, monkeypatch):
    drawn = []

    def noting(name):
        draw = getattr(figures, name)
        return lambda *args, **options: drawn.append(name) or draw(*args, **options)

    every = {name for name in figures.__all__ if name.startswith("draw_")}
    for module in (gallery, demo_report):
        for name in every & set(vars(module)):
            monkeypatch.setattr(module, name, noting(name))
    page = write_gallery(tiny, tmp_path, SETTINGS, prompts=3, sets=6, progress=False)
    assert page == tmp_path / "gallery.html"
    assert set(drawn) == every - LATER
    pages = list(Path(gallery.__file__).parent.rglob("*page.py"))
    assert all(any(name in page.read_text() for page in pages) for name in LATER)
    assert page.read_text(encoding="utf-8").count("<figure") == len(drawn)
