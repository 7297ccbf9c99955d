"""A sweep on one question: what it is measured on, and its page."""

import pytest

from workbench.experiments.questions import TRAINING
from workbench.experiments.sweep import SweepSettings, run_sweep, write_sweep

SETTINGS = SweepSettings(
    "w10 w11", layers=[1, 2], seeds=[0, 1], steps=3, held_out=3, harmless=2, harmless_tokens=4
)


@pytest.fixture
def result(tiny):
    return run_sweep(tiny, TRAINING[0], SETTINGS, progress=False)


def test_every_layer_and_seed_is_measured_on_other_questions(result):
    assert result.sweep.layers == (1, 1, 2, 2)
    assert result.sweep.outcomes.shape == (4, 3)
    assert all(kl >= 0 for kl in result.sweep.kl)
    trained = {example["prompt"] for v in result.vectors for example in v.provenance.examples}
    assert len(trained) == 1


def test_the_page_has_the_figure_and_the_table(result, tmp_path):
    page = write_sweep(result, tmp_path)
    text = page.read_text(encoding="utf-8")
    assert text.count("<figure") == 1
    assert "w10 w11" in text
    assert len(list((tmp_path / "vectors").glob("*.safetensors"))) == 4
