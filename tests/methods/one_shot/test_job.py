"""Targets, stops and settings of a job."""

import json

import pytest
import torch

import workbench as wb
from tests.conftest import tiny_hf, wrap
from workbench.methods.one_shot.constraint import LeastNorm

pytestmark = pytest.mark.tl3

PROMOTED = wb.Example("w1 w2 w3", promote=[" w10 w11"])
TWO = wb.Example("w1 w2 w3", promote=[" w10", " w13"])


def losses_of(run):
    return run.vector.provenance.results["completion_losses"]


@pytest.mark.parametrize("shift", [(-1.0, -0.5), (-1.0, 0.5)], ids=["both down", "one up"])
def test_satisficing_stops_by_completion_in_the_same_step(tiny, shift):
    """The published code compares the sum with one target and never stops, or at once."""
    settings = {"steps": 300, "learning_rate": 0.05, "progress": False}
    start = losses_of(wb.optimize(tiny, [TWO], 1, steps=0, progress=False))
    targets = [loss + by for loss, by in zip(start, shift, strict=True)]
    example = wb.Example(TWO.prompt, TWO.promote, target_losses=targets)
    run = wb.optimize(tiny, [example], 1, satisfice=True, tolerance=0.1, **settings)
    assert run.stopped == "target"
    assert 1 < len(run.losses) < 300
    assert losses_of(run) == pytest.approx(targets, abs=0.1)
    for earlier in run.completion_losses:
        gaps = [abs(loss - target) for loss, target in zip(earlier, targets, strict=True)]
        assert max(gaps) > 0.1


def test_one_target_for_each_completion_is_no_target_for_their_sum(tiny):
    start = losses_of(wb.optimize(tiny, [TWO], 1, steps=0, progress=False))
    target = max(start) - 0.1
    settings = {"steps": 40, "target_loss": target, "learning_rate": 0.05, "progress": False}
    run = wb.optimize(tiny, [TWO], 1, target_of="completion", **settings)
    assert run.stopped == "target"
    assert max(losses_of(run)) <= target
    assert run.loss > target
    total = wb.optimize(tiny, [TWO], 1, **{**settings, "steps": 3})
    assert total.stopped == "steps"


def test_an_examples_own_targets_stop_it_without_another(tiny):
    free = wb.optimize(tiny, [PROMOTED], 1, steps=10, learning_rate=0.2, progress=False)
    target = free.losses[4]
    example = wb.Example(PROMOTED.prompt, PROMOTED.promote, target_losses=[target])
    run = wb.optimize(tiny, [example], 1, steps=10, learning_rate=0.2, progress=False)
    assert run.stopped == "target"
    assert len(run.losses) < 10
    assert run.loss <= target < run.losses[-1]


def test_small_changes_stop_nothing_unless_asked(tiny):
    settings = {"steps": 6, "learning_rate": 1e-9, "progress": False}
    run = wb.optimize(tiny, [PROMOTED], 1, **settings)
    assert run.stopped == "steps"
    assert len(run.losses) == 6
    asked = wb.optimize(tiny, [PROMOTED], 1, least_change=1e-3, **settings)
    assert asked.stopped == "no change"
    assert len(asked.losses) == 1


def test_losses_of_a_bfloat16_model_are_not_rounded_to_its_steps(tokenizers):
    """The published code's are, and an equal pair of them stops it anywhere."""
    half = wrap(tiny_hf("llama").bfloat16(), tokenizers[True], name="tiny-llama")
    run = wb.optimize(half, [PROMOTED], 1, steps=6, learning_rate=0.3, progress=False)
    losses = torch.tensor(run.losses)
    assert run.stopped == "steps"
    assert (losses.bfloat16().float() != losses).all()


def test_the_configuration_is_plain_json():
    vector = wb.SteeringVector(torch.ones(32), 1, label="other")
    job = wb.OneShotJob(
        [TWO],
        (1, 2),
        noise=wb.Noise(0.1),
        constraint=LeastNorm(),
        change=wb.LargestChange(3),
        orthogonal_to=[vector],
    )
    config = json.loads(json.dumps(job.to_dict()))
    assert config["layer"] == [1, 2]
    assert config["noise"]["scale"] == 0.1
    assert config["start"] == "random"
    assert config["orthogonal_to"] == ["other"]
    assert wb.OneShotJob([TWO], 1, optimizer="lbfgs").to_dict()["start"] == "steepest"


BAD = {
    "no layer": ({"layer": ()}, "at least one layer"),
    "a layer twice": ({"layer": (1, 1)}, "none twice"),
    "steps": ({"steps": -1}, "steps must be 0 or more"),
    "target": ({"target_loss": -1.0}, "target_loss must be 0"),
    "batch": ({"batch_size": 0}, "batch_size must be 1"),
    "floor": ({"floor": 0.0}, "floor must be a positive"),
    "one map": ({"layer": (1, 2), "one_a_layer": True, "intervention": "affine"}, "one map"),
    "steepest clamp": ({"start": "steepest", "intervention": "clamp"}, "no start for the others"),
    "batches of L-BFGS": ({"optimizer": "lbfgs", "batch_size": 1}, "same objective at every step"),
    "targets in batches": (
        {"batch_size": 1, "target_loss": 1.0, "target_of": "completion"},
        "every completion at every step",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_settings_say_so_before_anything_runs(case):
    settings, message = BAD[case]
    with pytest.raises(ValueError, match=message):
        wb.OneShotJob([TWO], **{"layer": 1, **settings})
