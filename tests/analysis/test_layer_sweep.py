"""A sweep's numbers are those that scoring each vector alone gives."""

import numpy as np
import pytest
import torch

import workbench as wb
from workbench.analysis.layer_sweep import layer_sweep, log_prob_outcome
from workbench.evaluation import Reference, cost, two_level

PROMPTS, SAID = ["w1 w2 ", "w3 w4 w5 "], ["w6 w7", "w8"]


def vectors(*layers):
    generator = torch.Generator().manual_seed(0)
    return [
        wb.SteeringVector(torch.randn(32, generator=generator) * 3, layer, label=f"v{i}")
        for i, layer in enumerate(layers)
    ]


def test_outcomes_and_costs_equal_each_vector_alone(tiny):
    given = vectors(2, 1, 2)
    reference = Reference.of(tiny, PROMPTS, SAID)
    found = layer_sweep(
        tiny,
        given,
        log_prob_outcome(tiny, PROMPTS, SAID),
        reference,
        scales=[1, -2],
        progress=False,
    )
    assert found.layers == (1, 1, 2, 2, 2, 2)
    assert found.labels == ("v1", "v1", "v0", "v0", "v2", "v2")
    by_label = {vector.label: vector for vector in given}
    for i, (label, scale) in enumerate(zip(found.labels, found.scales, strict=True)):
        steering = wb.Add(by_label[label], scale)
        expected = wb.log_prob(tiny, PROMPTS, SAID, steering).mean
        assert found.outcomes[i] == pytest.approx(expected.numpy(), abs=1e-4)
        assert found.kl[i] == pytest.approx(cost(tiny, reference, steering).mean_kl, abs=1e-5)
    table = found.by_layer()
    assert list(table["layer"]) == [1, 1, 2, 2]
    assert table["low"].isna().tolist() == [True, True, False, False]
    last = two_level(found.outcomes[[2, 4]])
    row = table[(table["layer"] == 2) & (table["scale"] == 1)].iloc[0]
    assert (row["outcome"], row["low"], row["high"]) == pytest.approx(
        (last.mean, last.low, last.high)
    )


def test_losses_are_of_the_record(tiny):
    runs = wb.sweep_layers(
        tiny, wb.Example("w1 ", promote=["w2"]), layers=[1, 3], steps=2, progress=False
    )
    found = layer_sweep(
        tiny, [run.vector for run in runs.runs], lambda vector: [1.0, 0.0], progress=False
    )
    assert found.losses == pytest.approx([run.loss for run in runs.runs])
    assert np.isnan(found.kl).all()
    assert list(found.by_layer()["outcome"]) == [0.5, 0.5]


def test_bad_input(tiny):
    with pytest.raises(ValueError, match="0 vectors"):
        layer_sweep(tiny, [], lambda vector: [1.0])
    with pytest.raises(ValueError, match="several layers"):
        layer_sweep(tiny, [wb.SteeringVector(torch.ones(32), (1, 2))], lambda vector: [1.0])
