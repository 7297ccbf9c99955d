"""Positions mean the same in a whole pass, under padding, and in cached generation."""

import json

import pytest
import torch

import workbench as wb
from workbench.models.cached import CachedForward
from workbench.models.hooked import resid_pre
from workbench.models.text import pad
from workbench.steering.scoring import CompletionRows

pytestmark = pytest.mark.tl3

P = wb.Positions
PROMPT, COMPLETION = [1, 20, 30, 40, 50], [60, 70, 80]
CASES = {
    "all": (P.all(), {0, 1, 2, 3, 4, 5, 6, 7}),
    "prompt": (P.prompt(), {0, 1, 2, 3, 4}),
    "completion": (P.completion(), {5, 6, 7}),
    "last": (P.last(2), {3, 4}),
    "span": (P.span(1, 6), {1, 2, 3, 4, 5}),
    "open span": (P.span(6), {6, 7}),
    "tokens": (P.at_tokens([30, 70]), {2, 6}),
    "either": (P.last(2) | P.completion(), {3, 4, 5, 6, 7}),
    "both": (P.completion() & P.at_tokens([30, 70]), {6}),
    "both with all": ((P.last(2) | P.completion()) & P.all(), {3, 4, 5, 6, 7}),
    "own": (P.mask(torch.tensor([True, False, False, False, True, True])), {0, 4, 5}),
}
V = wb.SteeringVector(torch.ones(32), 1)


def edited(steered, clean, row):
    """Which columns of a row differ from the clean run at the layer."""
    moved = (steered[row] - clean[row]).abs().amax(-1) > 1e-4
    return set(moved.nonzero().flatten().tolist())


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("side", ["left", "right"])
def test_positions_in_a_padded_batch(tiny, name, side):
    positions, expected = CASES[name]
    rows = [PROMPT + COMPLETION, [1, 20, 30, 40, 50, 60, 70, 80, 11, 12, 13]]
    batch = pad(tiny, rows, side=side)
    at = resid_pre(1)
    _, clean = tiny.run_with_cache(batch.tokens, attention_mask=batch.attention_mask)
    lengths = torch.tensor([5, 5])
    with wb.steer(tiny, wb.Add(V, positions=positions), prompt_lengths=lengths):
        _, steered = tiny.run_with_cache(batch.tokens, attention_mask=batch.attention_mask)
    real = batch.attention_mask[0].bool()
    assert edited(steered[at][:1, real], clean[at][:1, real], 0) == expected


@pytest.mark.parametrize("name", CASES)
def test_positions_in_cached_generation_equal_those_of_a_whole_pass(any_model, name):
    """Feed the completion token by token through the cache; compare with one pass over it all."""
    positions, _ = CASES[name]
    intervention = wb.Add(V, scale=5.0, positions=positions)
    whole = torch.tensor([PROMPT + COMPLETION])
    with torch.no_grad(), wb.steer(any_model, intervention, prompt_lengths=torch.tensor([5])):
        expected = any_model(whole)[0, 4:]
    with torch.no_grad(), wb.steer(any_model, intervention):
        forward = CachedForward(any_model)
        got = [forward(torch.tensor([PROMPT]), torch.ones(1, 5, dtype=torch.long))]
        for k, token in enumerate(COMPLETION):
            got.append(forward(torch.tensor([[token]]), torch.ones(1, 6 + k, dtype=torch.long)))
    torch.testing.assert_close(torch.cat(got), expected, rtol=0, atol=2e-5)


def test_a_span_from_the_end_covers_prompt_and_completion_as_in_python(tiny):
    rows = CompletionRows.of(tiny, ["w1 w2 w3 w4", "w1 w2"], [" w5 w6", " w7"])
    at = resid_pre(1)
    args = (rows.batch.tokens,), {"attention_mask": rows.batch.attention_mask}
    _, clean = tiny.run_with_cache(*args[0], **args[1])
    with wb.steer(tiny, wb.Add(V, positions=P.span(-3, -1)), prompt_lengths=rows.prompt_lengths):
        _, steered = tiny.run_with_cache(*args[0], **args[1])
    assert edited(steered[at], clean[at], 0) == {4, 5}  # 7 tokens with the BOS
    assert edited(steered[at], clean[at], 1) == {1, 2}  # 4 tokens


def test_generation_refuses_a_span_from_the_end(tiny):
    with pytest.raises(ValueError, match=r"last\(k\)"):
        wb.generate(tiny, ["w1 w2"], wb.Add(V, positions=P.span(-2)), progress=False)


def test_lists_of_texts_are_padded_by_transformer_lens_and_read_right(tiny):
    """Without a mask, trailing pad tokens are counted as TransformerLens counts them."""
    texts = ["w1 w2 w3 w4 w5", "w1 w2"]
    at = resid_pre(1)
    _, clean = tiny.run_with_cache(texts)
    with wb.steer(tiny, wb.Add(V, positions=P.last(1))):
        _, steered = tiny.run_with_cache(texts)
    assert edited(steered[at], clean[at], 0) == {5}
    assert edited(steered[at], clean[at], 1) == {2}


def test_token_texts_are_looked_up_and_several_tokens_refused(tiny):
    at = resid_pre(1)
    tokens = torch.tensor([[1, 10, 20, 10]])
    _, clean = tiny.run_with_cache(tokens)
    word = tiny.tokenizer.decode([10])
    with wb.steer(tiny, wb.Add(V, positions=P.at_tokens(word))):
        _, steered = tiny.run_with_cache(tokens)
    assert edited(steered[at], clean[at], 0) == {1, 3}
    with (
        pytest.raises(ValueError, match="2 tokens"),
        wb.steer(tiny, wb.Add(V, positions=P.at_tokens("w1 w2"))),
    ):
        tiny(tokens)


@pytest.mark.parametrize("name", CASES)
def test_positions_are_plain_json_and_come_back(name):
    positions, _ = CASES[name]
    read = P.from_dict(json.loads(json.dumps(positions.to_dict())))
    assert read.to_dict() == positions.to_dict()
    assert str(read) == str(positions)
    if positions.own is not None:
        assert torch.equal(read.own, positions.own)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: P.from_dict({"kind": "sideways"}), "no positions of kind 'sideways'"),
        (lambda: P.from_dict({"kind": "last", "start": 0}), "k of 1 or more"),
        (lambda: P.last(0), "k of 1 or more"),
        (lambda: P.at_tokens([]), "at least one token"),
        (lambda: P.mask(torch.ones(3)), "Bool"),
    ],
)
def test_bad_positions_say_so(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_mask_by_row_needs_the_batch_it_was_made_for(tiny):
    own = P.mask(torch.ones(3, 4, dtype=torch.bool))
    with pytest.raises(ValueError, match="3 rows"), wb.steer(tiny, wb.Add(V, positions=own)):
        tiny(torch.tensor([[1, 2], [3, 4]]))
