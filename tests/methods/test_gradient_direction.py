"""One gradient step is the gradient that plain autograd gives."""

import pytest
import torch

import workbench as wb
from workbench.methods.gradient_direction import gradient_direction
from workbench.models.hooked import logits
from workbench.models.text import completion_ids

PROMPT, PROMOTED = "w1 w2 w3 ", "w4 w5"
LAYER = 2


def plain_gradient(model):
    """Of the promoted completion's negative log-prob, at no steering."""
    head, tail = completion_ids(model, PROMPT, PROMOTED)
    tokens = torch.tensor([[*head, *tail]])
    vector = torch.zeros(model.cfg.d_model, requires_grad=True)
    with wb.steer(model, [(f"blocks.{LAYER}.hook_resid_pre", lambda x, hook: x + vector)]):
        read = logits(model, tokens)[0].float().log_softmax(-1)
    said = read[torch.arange(len(head) - 1, len(head) + len(tail) - 1), torch.tensor(tail)]
    return torch.autograd.grad(-said.sum(), vector)[0]


def test_it_is_the_negative_gradient_at_zero(any_model):
    found = gradient_direction(any_model, wb.Example(PROMPT, promote=[PROMOTED]), LAYER, norm=3.0)
    expected = -plain_gradient(any_model)
    cosine = torch.nn.functional.cosine_similarity(found.values, expected, dim=0)
    assert float(cosine) == pytest.approx(1.0, abs=1e-4)
    assert found.norm == pytest.approx(3.0, rel=1e-5)
    assert found.provenance.method == "gradient-direction"


def test_a_small_step_along_it_promotes(tiny):
    found = gradient_direction(tiny, wb.Example(PROMPT, promote=[PROMOTED]), LAYER, norm=0.1)
    before, after = (
        float(wb.log_prob(tiny, PROMPT, PROMOTED, steering).total)
        for steering in ([], wb.Add(found))
    )
    assert after > before


def test_where_nothing_is_read_there_is_no_direction(tiny):
    """After the completion's one token nothing is predicted: editing it changes no loss."""
    alone = wb.Example(PROMPT, promote=["w4"], positions=wb.Positions.completion())
    with pytest.raises(ValueError, match="no steepest descent"):
        gradient_direction(tiny, alone, LAYER)


def test_what_does_not_fit_is_refused(tiny):
    with pytest.raises(ValueError, match="promotes and suppresses nothing"):
        gradient_direction(tiny, wb.Example(PROMPT), LAYER)
    with pytest.raises(ValueError, match="start_norm"):
        gradient_direction(tiny, wb.Example(PROMPT, promote=[PROMOTED]), LAYER, norm=0)
