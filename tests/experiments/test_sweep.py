"""A sweep on one question: what it is measured on, and its page."""

from dataclasses import replace

import pytest

from workbench.experiments import sweep as module
from workbench.experiments.questions import TRAINING
from workbench.experiments.sweep import SweepSettings, run_sweep
from workbench.runs import RunFolder

SETTINGS = SweepSettings(
    "w10 w11", layers=[1, 2], seeds=[0, 1], steps=3, held_out=3, harmless=2, harmless_tokens=4
)


@pytest.fixture
def result(tiny, tmp_path):
    return run_sweep(tiny, TRAINING[0], SETTINGS, tmp_path / "run", progress=False)


def test_every_layer_and_seed_is_measured_on_other_questions(result):
    assert result.sweep.layers == (1, 1, 2, 2)
    assert result.sweep.outcomes.shape == (4, 3)
    assert all(kl >= 0 for kl in result.sweep.kl)
    trained = {example["prompt"] for v in result.vectors for example in v.provenance.examples}
    assert len(trained) == 1


def test_the_page_has_the_figure_and_the_table(result):
    text = result.page.read_text(encoding="utf-8")
    assert text.count("<figure") == 1
    assert "w10 w11" in text
    assert len(list(result.page.parent.glob("vectors/*/*.safetensors"))) == 4


def test_a_sweep_that_was_broken_off_goes_on_with_the_next_layers(
    tiny, result, tmp_path, monkeypatch
):
    monkeypatch.setattr(module, "_TOGETHER", 2)
    done, sweep_layers = [], module.sweep_layers

    def until_the_second(model, example, layers, *args, **settings):
        done.append(list(layers))
        if len(done) == 2:
            raise KeyboardInterrupt
        return sweep_layers(model, example, layers, *args, **settings)

    monkeypatch.setattr(module, "sweep_layers", until_the_second)
    run = (tiny, TRAINING[0], SETTINGS, tmp_path / "again")
    with pytest.raises(KeyboardInterrupt):
        run_sweep(*run, progress=False)
    assert not RunFolder.at(run[-1]).running()
    again = run_sweep(*run, progress=False)
    assert done == [[1], [2], [2]]
    assert again.sweep.labels == result.sweep.labels
    assert again.sweep.outcomes == pytest.approx(result.sweep.outcomes, abs=1e-4)
    assert again.sweep.kl == pytest.approx(result.sweep.kl, abs=1e-4)
    assert again.unsteered == pytest.approx(result.unsteered)

    monkeypatch.setattr(module, "sweep_layers", None)
    monkeypatch.setattr(module, "layer_sweep", None)
    monkeypatch.setattr(module, "generate", None)
    whole = run_sweep(*run, progress=False)
    assert (whole.sweep.outcomes == again.sweep.outcomes).all()


def test_layers_that_are_not_there_and_other_settings_are_refused(tiny, result):
    with pytest.raises(IndexError, match="layer 99"):
        run_sweep(tiny, TRAINING[0], replace(SETTINGS, layers=[99]), "unused", progress=False)
    with pytest.raises(ValueError, match="at least one layer and one seed"):
        run_sweep(tiny, TRAINING[0], replace(SETTINGS, seeds=[]), "unused", progress=False)
    with pytest.raises(ValueError, match=r"other settings \(question\)"):
        run_sweep(tiny, TRAINING[1], SETTINGS, result.page.parent, progress=False)
