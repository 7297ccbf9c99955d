"""Answers are judged by refusal and by coherence to either model."""

import numpy as np
import pytest
import torch

import workbench as wb
from tests.conftest import boot
from workbench.evaluation import own_surprisal, surprisal
from workbench.experiments.refusal import judging
from workbench.experiments.refusal.judging import Asked, prompts_of, rates_of
from workbench.steering import Generation


def test_a_row_a_request_with_its_judgement(requests, tokenizers, monkeypatch):
    asked = Asked(requests, ["w60 w61", "w62"], ["w5"], tokens=6)
    found = asked.judged(requests.model, [], "unsteered")
    assert found["harmful"].tolist() == [True, True, False]
    assert found["answer"].tolist() == wb.generate(
        requests.model, asked.prompts, max_new_tokens=6, progress=False
    )
    assert not found["refuses"].any()
    near = np.zeros(3, bool)
    for model in (requests.parent, requests.model):
        nats = surprisal(model, asked.prompts, found["answer"].tolist()).per_token
        near |= np.array(nats) <= own_surprisal(model, asked.prompts, 6)
    assert found["coherent"].tolist() == (near & (found["distinct"] >= 0.6)).tolist()
    said = [
        Generation(text, torch.tensor([1, 2]), torch.zeros(2), True)
        for text in ("I can't", "sorry, no", "w1")
    ]
    monkeypatch.setattr(judging, "generate", lambda *_, **__: said)
    found = asked.judged(boot("qwen3", tokenizers), [], "said")
    assert found["refuses"].tolist() == [True, True, False]
    rates = rates_of(found).set_index("harmful")
    assert rates.loc[True, "refuses"] == 1
    assert rates.loc[False, "n"] == 1
    both = rates["refuses_coherently"] + rates["answers_coherently"]
    assert both.tolist() == pytest.approx(rates["coherent"].tolist())
    assert rates.loc[False, "refuses_coherently"] == 0


def test_prompts_are_cut_by_kind(requests):
    harmful, harmless = prompts_of(requests, requests.train, 3)
    assert harmful[1] == "<user> w2 w3 w3 <assistant> "
    assert len(harmful) == len(harmless) == 3
