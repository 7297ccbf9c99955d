"""Prepared texts score as `log_prob` scores them, whatever acts on them."""

import pytest
import torch

import workbench as wb
from workbench.steering.prepared import Prepared, lowest_layer

PROMPTS = ["w1 w2 w3 ", "w4 ", "w1 w2 w3 ", "w5 w6 w7 w8 w9 ", "w4 ", "w4 "]
COMPLETIONS = ["w10 w11", "w12", "w13 w14 w15", "w16 w17", "w18 w19 w20", "w21"]


def vector(model, layer=2, seed=0):
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(model.cfg.d_model, generator=generator) * 3
    return wb.SteeringVector(values, layer)


def cases(model):
    v, later = vector(model), vector(model, 3, 1)
    return {
        "nothing": [],
        "add": [wb.Add(v)],
        "subtract": [wb.Add(v, -1.5)],
        "clamp": [wb.Clamp(v, 2.0)],
        "two layers": [wb.Add(v), wb.Add(later)],
        "completion": [wb.Add(v, positions=wb.Positions.completion())],
        "last two of the prompt": [wb.Add(v, positions=wb.Positions.last(2))],
    }


def test_scores_equal_log_prob(any_model):
    prepared = Prepared.of(any_model, PROMPTS, COMPLETIONS, layer=2, batch_size=2)
    for name, steering in cases(any_model).items():
        found = prepared.score(steering, coldness=0.7).log_probs
        plain = wb.log_prob(any_model, PROMPTS, COMPLETIONS, steering, coldness=0.7)
        ours, theirs = (torch.cat(each.token_log_probs) for each in (found, plain))
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4, msg=name)
        torch.testing.assert_close(found.total, plain.total, rtol=1e-4, atol=1e-4, msg=name)
        assert found.tokens == plain.tokens
        assert found.completions == plain.completions


def test_greedy_says_what_greedy_decoding_writes(tiny):
    steering = [wb.Add(vector(tiny))]
    own = wb.generate(tiny, PROMPTS[:2], steering, max_new_tokens=3, progress=False)
    prepared = Prepared.of(
        tiny, [*PROMPTS[:2], *PROMPTS[:2]], [*own, "w30 w31 w32", "w33 w34 w35"], layer=2
    )
    assert prepared.score(steering).greedy == (True, True, False, False)


def test_completions_of_a_prompt_share_its_row(tiny):
    prepared = Prepared.of(tiny, PROMPTS, COMPLETIONS, layer=2)
    (batch,) = prepared.batches
    assert len(batch.recording.branches.groups) == 3
    assert batch.recording.replayed


def test_a_mask_of_ones_own_goes_with_its_rows(tiny):
    """Rows are sorted into batches: each keeps its own part of the mask."""
    mask = torch.zeros(6, 9, dtype=torch.bool)
    mask[torch.arange(6), torch.tensor([0, 1, 0, 3, 1, 1])] = True
    steering = [wb.Add(vector(tiny), positions=mask)]
    plain = wb.log_prob(tiny, PROMPTS, COMPLETIONS, steering)
    found = Prepared.of(tiny, PROMPTS, COMPLETIONS, layer=2).score(steering).log_probs
    torch.testing.assert_close(found.total, plain.total, rtol=1e-4, atol=1e-4)


def test_what_cannot_be_prepared_is_refused(tiny):
    prepared = Prepared.of(tiny, PROMPTS, COMPLETIONS, layer=2)
    with pytest.raises(ValueError, match="from layer 2 on"):
        prepared.score(wb.Add(vector(tiny, 1)))
    with pytest.raises(ValueError, match="row by row"):
        prepared.score(wb.Add([vector(tiny)] * 6))
    with pytest.raises(ValueError, match="otherwise for one of its completions"):
        prepared.score(wb.Add(vector(tiny), positions=wb.Positions.span(-3, None)))
    with pytest.raises(ValueError, match="2 prompts for 1"):
        Prepared.of(tiny, ["w1", "w2"], ["w3"], layer=1)


@pytest.mark.embedded
def test_the_embedded_model(embedded):
    prompts = [wb.chat(embedded, text) for text in ("Who are you?", "What is two plus two?")] * 2
    answers = ["I am a cat.", "Four.", "Nobody you know.", "It is five, I think."]
    steering = [wb.Add(vector(embedded, 12), 4.0)]
    found = Prepared.of(embedded, prompts, answers, layer=12).score(steering).log_probs
    plain = wb.log_prob(embedded, prompts, answers, steering)
    torch.testing.assert_close(found.total, plain.total, rtol=1e-4, atol=1e-3)


def test_the_lowest_layer_is_known_where_texts_can_be_prepared(tiny):
    v, later = vector(tiny), vector(tiny, 3, 1)
    assert lowest_layer(tiny, [wb.Add(later), wb.Clamp(v)]) == 2
    gated = wb.When(wb.Condition(v, 0.0), wb.Add(v))
    for steering in ([], wb.Ablate(v), gated, wb.Add([v, later])):
        assert lowest_layer(tiny, steering) is None
