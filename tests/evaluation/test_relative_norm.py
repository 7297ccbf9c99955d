"""Norms beside the stream's own."""

import math

import pytest
import torch

import workbench as wb
from workbench.evaluation.relative_norm import relative_norms
from workbench.models.text import prompt_ids
from workbench.steering.activations import stream_norms

PROMPTS = ["w1 w2 w3", "w4 w5", "w6 w7 w8 w9"]


def by_hand(model, prompt, layer):
    """The mean norm of all tokens but the first."""
    with torch.no_grad():
        _, cache = model.run_with_cache(torch.tensor([prompt_ids(model, prompt)]))
    return float(cache[f"blocks.{layer}.hook_resid_pre"][0, 1:].norm(dim=-1).mean())


def test_norms_of_the_stream_are_those_of_its_tokens_but_the_first(tiny):
    found = stream_norms(tiny, PROMPTS, layers=[1, 3])
    wanted = [[by_hand(tiny, prompt, layer) for layer in (1, 3)] for prompt in PROMPTS]
    torch.testing.assert_close(found, torch.tensor(wanted), rtol=1e-4, atol=1e-4)


def test_shares_are_of_the_mean_at_each_vectors_layer(tiny):
    vectors = [
        wb.SteeringVector(torch.ones(32), 3, label="a"),
        wb.SteeringVector(torch.ones(32), 1),
    ]
    found = relative_norms(tiny, vectors, PROMPTS)
    means = stream_norms(tiny, PROMPTS, layers=[3, 1]).mean(0)
    assert found.stream == pytest.approx(means.tolist(), rel=1e-5)
    assert found.shares == pytest.approx([32**0.5 / mean for mean in means.tolist()], rel=1e-5)
    frame = found.to_frame()
    assert (frame["low"] < frame["stream"]).all()
    assert (frame["stream"] < frame["high"]).all()
    assert list(frame["n"]) == [3, 3]


def test_one_prompt_has_no_interval_and_none_is_refused(tiny):
    vector = wb.SteeringVector(torch.ones(32), 2)
    assert math.isnan(relative_norms(tiny, [vector], PROMPTS[:1]).low[0])
    with pytest.raises(ValueError, match="1 vectors and 0 prompts"):
        relative_norms(tiny, [vector], [])
