"""The gallery has every figure, on a tiny model too."""

from dataclasses import replace

import pytest

from tests.conftest import boot
from tests.experiments.poser.conftest import frame as scenarios_of
from tests.experiments.poser.test_program import SETTINGS as POSER
from tests.experiments.refusal.conftest import frame as requests_of
from tests.experiments.refusal.test_program import SETTINGS as REFUSAL
from tests.experiments.test_demo import SETTINGS
from workbench import figures
from workbench.experiments import demo_report, gallery, gallery_experiments
from workbench.experiments.compare import caa_task
from workbench.experiments.gallery import write_gallery
from workbench.experiments.gallery_experiments import SmallRuns
from workbench.experiments.poser import Scenarios
from workbench.experiments.refusal import Requests

pytest.importorskip("sklearn")


@pytest.fixture
def runs(tiny, tokenizers):
    """The experiments on tiny models."""

    def decide(row, swapped):
        return " ".join([*row["facts"], *(row["actions"][::-1] if swapped else row["actions"]), ""])

    scenarios = Scenarios(tiny, decide, scenarios_of(12), scenarios_of(8, 3), scenarios_of(8, 5))
    parts = (requests_of(24), requests_of(8, 3), requests_of(8, 5))
    requests = Requests(
        tiny, boot("qwen3", tokenizers), "<user> {} <assistant> ".format, *parts, ["w60", "w63"]
    )
    return SmallRuns(
        scenarios, POSER, requests, REFUSAL, decisions=8, requests_asked=2, direction_layer=1
    )


def _with_known_letters(*args, **options):
    """The task, its letters words that a tiny tokenizer knows: else both would be one token."""
    task = caa_task(*args, **options)
    known = {"(A": "w70", "(B": "w71"}
    pairs = [
        replace(pair, matching=known[pair.matching], not_matching=known[pair.not_matching])
        for pair in task.letters
    ]
    return replace(task, letters=tuple(pairs))


def test_every_figure_is_drawn(tiny, runs, tmp_path, monkeypatch):
    drawn = []

    def noting(name):
        draw = getattr(figures, name)
        return lambda *args, **options: drawn.append(name) or draw(*args, **options)

    every = {name for name in figures.__all__ if name.startswith("draw_")}
    for module in (gallery, demo_report, gallery_experiments):
        for name in every & set(vars(module)):
            monkeypatch.setattr(module, name, noting(name))
    monkeypatch.setattr(gallery_experiments, "caa_task", _with_known_letters)
    page = write_gallery(tiny, tmp_path, SETTINGS, prompts=3, sets=12, runs=runs, progress=False)
    assert page == tmp_path / "gallery.html"
    assert set(drawn) == every
    assert page.read_text(encoding="utf-8").count("<figure") == len(drawn)
