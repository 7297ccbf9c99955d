"""The losses of given vectors are those that scoring them one by one gives."""

import pytest
import torch

import workbench as wb
from workbench.methods.one_shot import losses_of


def test_they_equal_log_probs_one_by_one(any_model):
    generator = torch.Generator().manual_seed(1)
    vectors = [
        wb.SteeringVector(torch.randn(32, generator=generator) * 3, layer) for layer in (2, 1, 1)
    ]
    examples = [
        wb.Example("w1 w2 ", promote=["w3 w4"]),
        wb.Example("w5 ", promote=["w6"]),
        [wb.Example("w1 w2 ", promote=["w3 w4"]), wb.Example("w5 ", promote=["w6", "w7"])],
    ]
    found = losses_of(any_model, examples, vectors, coldness=0.7)
    for loss, given, vector in zip(found, examples, vectors, strict=True):
        each = given if isinstance(given, list) else [given]
        expected = -sum(
            float(
                wb.log_prob(
                    any_model, e.prompt, e.promote, wb.Add(vector), coldness=0.7
                ).total.sum()
            )
            for e in each
        )
        assert loss == pytest.approx(expected, abs=2e-3)
    assert losses_of(any_model, [], []) == []


def test_it_takes_no_gradient_and_refuses_what_does_not_pair(tiny):
    vector = wb.SteeringVector(torch.ones(32), 1)
    example = wb.Example("w1 ", promote=["w2"])
    with pytest.raises(ValueError, match="1 examples for 2 vectors"):
        losses_of(tiny, [example], [vector, vector])
    losses_of(tiny, [example], [vector])
    assert all(p.grad is None for p in tiny.parameters())
