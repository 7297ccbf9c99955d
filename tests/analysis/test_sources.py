"""Shares of positions add up to the whole change, and say where the vector acts."""

import pytest
import torch

import workbench as wb
from workbench.analysis.sources import attribute_sources
from workbench.models.hooked import logits
from workbench.models.text import prompt_ids
from workbench.steering import SteeringVector

PROMPT, PROMOTED, SUPPRESSED = "w1 w2 w3 w4 ", "w5", "w6"


@pytest.fixture
def vector(tiny):
    generator = torch.Generator().manual_seed(0)
    return SteeringVector(0.7 * torch.randn(tiny.cfg.d_model, generator=generator), 1, label="v")


def difference(model, steering):
    ids = prompt_ids(model, PROMPT)
    first, second = (model.tokenizer.convert_tokens_to_ids(each) for each in (PROMOTED, SUPPRESSED))
    with torch.no_grad(), wb.steer(model, steering):
        last = logits(model, torch.tensor([ids]))[0, -1]
    return float(last[first] - last[second])


def test_shares_add_up_to_the_change(any_model, vector):
    found = attribute_sources(any_model, vector, PROMPT, PROMOTED, SUPPRESSED)
    size = abs(found.parts).sum()
    assert abs(found.error) <= 1e-3 * size
    plain = difference(any_model, wb.Add(vector)) - difference(any_model, [])
    assert found.change == pytest.approx(plain, abs=1e-4)
    frame = found.to_frame()
    assert len(frame) == len(prompt_ids(any_model, PROMPT))
    assert frame["share"].sum() == pytest.approx(1.0)


def test_of_a_small_vector_each_position_has_what_it_does_alone(tiny, vector):
    small = vector * 0.01
    found = attribute_sources(tiny, small, PROMPT, PROMOTED, SUPPRESSED)
    plain = difference(tiny, [])
    alone = [
        difference(tiny, wb.Add(small, positions=wb.Positions.span(i, i + 1))) - plain
        for i in range(len(found.tokens))
    ]
    largest = max(map(abs, alone))
    assert found.parts.tolist() == pytest.approx(alone, abs=0.05 * largest)


def test_more_points_err_less(tiny, vector):
    few, many = (
        attribute_sources(tiny, vector * 8.0, PROMPT, PROMOTED, SUPPRESSED, steps=n).error
        for n in (2, 24)
    )
    assert abs(many) < abs(few)


def test_the_model_is_left_as_it_was(tiny, vector):
    attribute_sources(tiny, vector, PROMPT, PROMOTED, SUPPRESSED)
    assert all(parameter.grad is None for parameter in tiny.parameters())
    with pytest.raises(ValueError, match="same token"):
        attribute_sources(tiny, vector, PROMPT, PROMOTED, PROMOTED)
    with pytest.raises(ValueError, match="steps"):
        attribute_sources(tiny, vector, PROMPT, PROMOTED, SUPPRESSED, steps=0)
