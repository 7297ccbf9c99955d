"""Cost: KL and cross-entropy by the plain formula; nothing for no vector; a scale for a cost."""

import numpy as np
import pytest
import torch

import workbench as wb
from tests.conftest import boot
from workbench.evaluation.cost import Reference, calibrate, cost
from workbench.models.text import completion_ids

PROMPTS = ["w1 w2 w3", "w4", "w5 w6"]
COMPLETIONS = [" w7 w8", " w9 w10 w11", " w1"]


@pytest.fixture
def vector(tiny):
    values = torch.randn(tiny.cfg.d_model, generator=torch.Generator().manual_seed(0))
    return wb.SteeringVector(values, layer=1)


@pytest.fixture
def reference(tiny):
    return Reference.of(tiny, PROMPTS, COMPLETIONS)


def test_it_is_what_the_definition_says(tiny, vector, reference):
    found = cost(tiny, reference, wb.Add(vector))
    for i, (prompt, completion) in enumerate(zip(PROMPTS, COMPLETIONS, strict=True)):
        head, tail = completion_ids(tiny, prompt, completion)
        ids, n = torch.tensor([head + tail]), len(tail)
        with torch.no_grad():
            before = tiny(ids)[0, -n - 1 : -1].log_softmax(-1)
            with wb.steer(tiny, wb.Add(vector)):
                now = tiny(ids)[0, -n - 1 : -1].log_softmax(-1)
        kl = torch.nn.functional.kl_div(now, before, log_target=True, reduction="batchmean")
        assert found.kl[i] == pytest.approx(float(kl), rel=1e-4, abs=1e-6)
        loss = torch.nn.functional.nll_loss(now, ids[0, -n:])
        assert found.steered[i] == pytest.approx(float(loss), rel=1e-4)
        assert found.n_tokens[i] == n
    assert found.mean_kl == pytest.approx(np.average(found.kl, weights=[2, 3, 1]))
    assert len(found.to_frame()) == 3


@pytest.mark.parametrize("layer", [0, 2])
def test_texts_run_up_to_a_layer_cost_the_same(any_model, layer):
    """Also where its blocks cannot be replayed, and with two prompts that are the same."""
    values = torch.randn(any_model.cfg.d_model, generator=torch.Generator().manual_seed(1))
    vector = wb.SteeringVector(values, layer=2)
    prompts, completions = [*PROMPTS, PROMPTS[0]], [*COMPLETIONS, COMPLETIONS[1]]
    reference = Reference.of(any_model, prompts, completions)
    steering = [wb.Add(vector), wb.Clamp(vector, 2.0, wb.Positions.completion())]
    plain = cost(any_model, reference, steering)
    quick = cost(any_model, reference.at(any_model, layer), steering)
    assert plain.mean_kl > 1e-4
    np.testing.assert_allclose(quick.kl, plain.kl, rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(quick.steered, plain.steered, rtol=1e-4)
    assert quick.completions == plain.completions
    assert quick.n_tokens == plain.n_tokens


def test_what_a_layers_reference_cannot_do_is_refused(tiny, vector, reference, tokenizers):
    with pytest.raises(ValueError, match="prepared for edits of resid_pre from layer 3 on"):
        cost(tiny, reference.at(tiny, 3), wb.Add(vector))
    with pytest.raises(ValueError, match="row by row"):
        cost(tiny, reference.at(tiny, 1), wb.Add([vector, vector, vector]))
    with pytest.raises(ValueError, match="another model"):
        cost(boot("llama", tokenizers), reference.at(tiny, 1), wb.Add(vector))
    assert reference.at(tiny, None) is reference


def test_no_vector_costs_nothing(tiny, reference):
    found = cost(tiny, reference, ())
    assert found.mean_kl == pytest.approx(0, abs=1e-6)
    assert found.cross_entropy_change == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("target", [0.001, 0.05])
def test_a_vector_is_scaled_to_a_cost(tiny, vector, reference, target):
    found = calibrate(tiny, vector, target, reference)
    assert found.kl == pytest.approx(target, rel=0.02)
    again = cost(tiny, reference, wb.Add(vector, found.scale))
    assert again.mean_kl == pytest.approx(found.kl, rel=1e-4)


def test_a_scale_is_found_where_the_first_one_costs_too_much(tiny, vector, reference):
    """The search then starts at 0, where float noise may make the cost negative."""
    found = calibrate(tiny, vector * 1e4, 1e-3, reference)
    assert found.scale < 2**-6
    assert found.kl == pytest.approx(1e-3, rel=0.02)


def test_what_cannot_be_reached_is_said(tiny, vector, reference):
    with pytest.raises(ValueError, match="positive"):
        calibrate(tiny, vector, 0.0, reference)
    still = wb.SteeringVector(torch.zeros(tiny.cfg.d_model), layer=1)
    with pytest.raises(ValueError, match="no scale up to 4 costs 1 nats"):
        calibrate(tiny, still, 1, reference, largest=4)
    with pytest.raises(ValueError, match="3 prompts for 0 completions"):
        Reference.of(tiny, PROMPTS, [])


@pytest.mark.embedded
def test_a_completion_that_merges_with_its_prompt_has_its_own_tokens(embedded):
    """An answer may begin with the line break in which its prompt ends."""
    prompt = wb.chat(embedded, "Hello!")
    reference = Reference.of(embedded, [prompt], ["\nGood morning."])
    ids = embedded.tokenizer("\nGood morning.", add_special_tokens=False)["input_ids"]
    assert cost(embedded, reference, ()).n_tokens == (len(ids),)
