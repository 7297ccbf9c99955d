"""The paper's settings by name, and Poser's stop rule."""

import math

import pytest

import workbench as wb
from workbench.methods.one_shot.presets import PRESETS, order_swapped

pytestmark = pytest.mark.tl3

EXAMPLE = wb.Example("w1 w2 w3", promote=[" w10"], target_losses=[1.0])


@pytest.mark.parametrize("name", PRESETS)
def test_each_makes_a_job_and_cites_its_source(name):
    preset = PRESETS[name]
    job = preset.job(EXAMPLE)
    assert job.layers == (preset.layer,)
    for key, value in preset.settings.items():
        assert str(getattr(job, key)) == str(value)
    assert preset.source.startswith(("v1", "v2"))
    assert preset.model
    assert preset.application.startswith(("Add", "Clamp"))
    assert preset.job([EXAMPLE], layer=3, steps=2).steps == 2
    if preset.early_layer is not None:
        early = wb.OneShotJob([EXAMPLE], preset.early_layer, **preset.early)
        assert early.layers[0] < preset.layer


def test_presets_run_with_another_layer(tiny):
    preset = PRESETS["fictitious-reentrant"]
    run = wb.reentrant(
        tiny,
        [wb.Example("w1 w2 w3", promote=[" w10"])],
        2,
        early_layer=1,
        early={**preset.early, "steps": 2},
        tokens=2,
        progress=False,
        **{**preset.settings, "steps": 2},
    )
    assert run.first.vectors == ()
    assert run.vector.norm <= 30.0


def test_the_four_terms_stop_where_the_other_answer_was(tiny):
    """Of x and its swapped x', by hand: -log p-, -log(1 - p+), -log p'+, -log(1 - p'-)."""
    prompt, swapped, plus, minus = "w1 w2 w3", "w1 w3 w2", " w10", " w11"
    first, second = order_swapped(tiny, prompt, swapped, plus, minus)

    def p(text, answer):
        return math.exp(float(wb.log_prob(tiny, text, answer, coldness=0.7).total[0]))

    assert (first.prompt, first.promote, first.suppress) == (prompt, (plus,), (minus,))
    assert (second.prompt, second.promote, second.suppress) == (swapped, (minus,), (plus,))
    assert first.target_losses == pytest.approx(
        [-math.log(p(prompt, minus)), -math.log(1 - p(prompt, plus))], rel=1e-4
    )
    assert second.target_losses == pytest.approx(
        [-math.log(p(swapped, plus)), -math.log(1 - p(swapped, minus))], rel=1e-4
    )


def test_the_stop_rule_holds_for_all_four_in_one_step(tiny):
    examples = order_swapped(tiny, "w1 w2 w3", "w1 w3 w2", " w10", " w11")
    targets = [target for example in examples for target in example.target_losses]
    job = PRESETS["poser"].job(examples, layer=1, start_norm=1.0, max_norm=8.0, learning_rate=0.3)
    (run,) = wb.optimize_batch(tiny, [job], progress=False)
    for losses in run.completion_losses:
        assert any(loss > target for loss, target in zip(losses, targets, strict=True))
    if run.stopped == "target":
        final = run.vector.provenance.results["completion_losses"]
        assert all(loss <= target for loss, target in zip(final, targets, strict=True))
