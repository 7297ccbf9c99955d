"""Label-free figures of a vector against plain computations."""

import numpy as np
import pandas as pd
import pytest
import torch

import workbench as wb
from tests.experiments.full.conftest import SETTINGS
from workbench.experiments.full.predictors import (
    cosine_to_others,
    rank_correlations,
    sharpness,
)
from workbench.methods import OneShotJob, random_vector


def test_sharpness_is_the_rise_of_the_loss_under_noise(task):
    (examples,) = task.draw(1)
    job = OneShotJob(examples, **task.job, label="item 1, seed 1")
    vector = wb.optimize_batch(task.model, [job], progress=False)[0].vector
    (found,) = sharpness(task, SETTINGS, [vector], [job])

    def loss(steering):
        (example,) = examples
        (text,) = example.completions
        coldness = task.job["coldness"]
        return -float(
            wb.log_prob(task.model, example.prompt, text, steering, coldness=coldness).total
        )

    noisy = [vector + random_vector(vector, seed) * SETTINGS.radius for seed in range(2)]
    rise = np.mean([loss(wb.Add(each)) for each in noisy]) - loss(wb.Add(vector))
    assert found == pytest.approx(rise, abs=1e-4)


def test_the_cosine_is_to_the_vectors_of_other_items():
    values = torch.eye(3)
    vectors = [
        wb.SteeringVector(row * 7, 1, label=str(i)) for i, row in enumerate([*values, values[0]])
    ]
    found = cosine_to_others(vectors, ["a", "b", "c", "a"])
    assert found == pytest.approx([0, 0, 0, 0])
    found = cosine_to_others(vectors, ["a", "b", "c", "d"])
    others = torch.stack([values[1], values[2], values[0]]).mean(0)
    assert found[0] == pytest.approx(float(values[0] @ others / others.norm()))


def test_a_rank_correlation_has_an_interval_over_clusters_and_leaves_constants_out():
    outcome = np.arange(12.0)
    table = pd.DataFrame(
        {
            "item": [f"item {i // 2}" for i in range(12)],
            "up": outcome**3,
            "down": -outcome,
            "same": 5.0,
            "outcome": outcome,
        }
    )
    found = rank_correlations(table, "outcome", ["up", "down", "same"], "item", resamples=50)
    assert list(found["predictor"]) == ["up", "down"]
    assert list(found["rho"]) == pytest.approx([1, -1])
    assert (found["low"] <= found["rho"] + 1e-9).all()
    assert (found["rho"] - 1e-9 <= found["high"]).all()
    assert (found["n"] == 12).all()
    assert rank_correlations(table.assign(outcome=1.0), "outcome", ["up"], "item").empty
    noise = table.assign(up=np.random.default_rng(0).permutation(outcome))
    wide = rank_correlations(noise, "outcome", ["up"], "item", resamples=200).iloc[0]
    assert wide["high"] - wide["low"] > 0.3
