"""The metric is the log-odds of how refusals begin."""

import math

import numpy as np
import pytest
import torch

import workbench as wb
from workbench.analysis.refusal_metric import RefusalMetric, last_log_probs, refusal_metric
from workbench.models.text import prompt_ids

pytest.importorskip("sklearn")
PROMPTS = ["w1 w2 w3 ", "w4 w5 ", "w6 "]
VECTOR = wb.SteeringVector(torch.randn(32, generator=torch.Generator().manual_seed(0)) * 4, 1)


def test_last_log_probs_are_of_the_token_after_each_prompt(any_model):
    found = last_log_probs(any_model, PROMPTS, wb.Add(VECTOR))
    for prompt, row in zip(PROMPTS, found, strict=True):
        token = prompt_ids(any_model, prompt + "w9")[-1]
        expected = wb.log_prob(any_model, prompt, "w9", wb.Add(VECTOR)).total
        assert float(row[token]) == pytest.approx(float(expected), abs=1e-4)


def test_log_odds_of_tokens_and_of_prefixes(tiny):
    ids = [prompt_ids(tiny, f"w1 {text}")[-1] for text in ("w7", "w8")]
    by_token = RefusalMetric(tuple(ids), ("w7", "w8"), (), 1.0, 1, 1)
    by_prefix = RefusalMetric((), (), ("w7 w9", "w8"), 1.0, 1, 1)

    def p(prompt, text):
        return math.exp(float(wb.log_prob(tiny, prompt, text, wb.Add(VECTOR)).total))

    for metric, texts in ((by_token, ("w7", "w8")), (by_prefix, ("w7 w9", "w8"))):
        found = metric(tiny, PROMPTS, wb.Add(VECTOR))
        for prompt, value in zip(PROMPTS, found, strict=True):
            mass = sum(p(prompt, text) for text in texts)
            assert value == pytest.approx(math.log(mass / (1 - mass)), abs=1e-3)


def test_tokens_are_those_whose_mass_differs_most(tiny):
    """Refused are prompts under which the model says something else than under the others."""
    read = last_log_probs(tiny, PROMPTS).exp()
    difference = read[0] - read[1:].mean(0)
    metric = refusal_metric(tiny, PROMPTS[:1], PROMPTS[1:], count=2, least_auc=0.0)
    assert metric.tokens[0] == int(difference.argmax())
    assert metric.prefixes == ()
    assert (metric.n_refused, metric.n_answered) == (1, 2)
    assert 0 <= metric.auc <= 1


def test_prefixes_take_the_place_of_tokens_that_tell_little(tiny):
    metric = refusal_metric(tiny, PROMPTS[:2], PROMPTS[2:], least_auc=1.1, prefix_tokens=2)
    assert metric.prefixes
    said = wb.generate(tiny, PROMPTS[:2], max_new_tokens=2, progress=False)
    assert set(metric.prefixes) <= set(said)
    assert np.isfinite(metric(tiny, PROMPTS)).all()


def test_bad_input(tiny):
    with pytest.raises(ValueError, match="0 refused and 1 answered"):
        refusal_metric(tiny, [], PROMPTS[:1])
    with pytest.raises(ValueError, match="does it refuse at all"):
        refusal_metric(tiny, PROMPTS[:1], PROMPTS[:1])
