"""The likeliest next tokens, replayed from the steered layer on, equal a whole pass."""

import pytest
import torch

import workbench as wb
from workbench.explorer.next_token import NextToken, likeliest

TEXT = "w1 w2 w3 w4"


def vector(layer, seed=0):
    values = torch.randn(32, generator=torch.Generator().manual_seed(seed))
    return wb.SteeringVector(4 * values, layer)


def expected(model, steering, k):
    with wb.steer(model, *steering), torch.no_grad():
        logits = model(TEXT, prepend_bos=model.tokenizer.bos_token_id is not None)[0, -1]
    return logits.softmax(-1).topk(k)


@pytest.mark.parametrize(
    "steering",
    [
        [],
        [wb.Add(vector(2))],
        [wb.Clamp(vector(1), 3.0), wb.Add(vector(3, 1), 2.0)],
        [wb.Add(vector(2), positions=wb.Positions.last())],
        [wb.Ablate(vector(0), positions=wb.Positions.prompt())],
    ],
)
def test_it_is_what_a_steered_pass_says(tiny, steering):
    asked = NextToken(tiny)
    for _ in range(2):
        found = asked.likeliest(TEXT, steering, 5)
        top = expected(tiny, steering, 5)
        assert [token for token, _ in found] == top.indices.tolist()
        assert [p for _, p in found] == pytest.approx(top.values.tolist(), abs=1e-5)


def test_what_is_held_is_of_one_text_layer_and_state_of_the_weights(tiny):
    asked = NextToken(tiny)
    for text, layer in ((TEXT, 2), (TEXT, 1), ("w9 w8", 1)):
        how = [wb.Add(vector(layer))]
        assert asked.likeliest(text, how, 3) == likeliest(tiny, text, how, 3)
    with torch.no_grad():
        tiny.original_model.get_input_embeddings().weight.mul_(1.5)
    assert asked.likeliest("w9 w8", how, 3) == likeliest(tiny, "w9 w8", how, 3)
