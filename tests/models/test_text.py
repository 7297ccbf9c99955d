"""From text to tokens: chat formats, the BOS, the boundary of prompt and completion."""

import pytest
import torch

import workbench as wb
from workbench.models.text import chat, completion_ends, completion_ids, pad, prompt_ids

pytestmark = pytest.mark.tl3


def test_chat_formats_with_the_tokenizers_own_template(tiny):
    assert wb.chat(tiny, "w1 w2") == "<user> w1 w2 <assistant> "
    assert wb.chat(tiny, "w1", system="w2", prefill="w3") == "<system> w2 <user> w1 <assistant> w3"
    messages = [{"role": "user", "content": "w1"}, {"role": "assistant", "content": "w2"}]
    assert wb.chat(tiny, messages) == "<user> w1 <assistant> w2 <assistant> "


def test_a_base_model_says_that_it_has_no_format(tiny):
    template, tiny.tokenizer.chat_template = tiny.tokenizer.chat_template, None
    try:
        with pytest.raises(ValueError, match="tiny-llama has no chat template"):
            wb.chat(tiny, "w1")
    finally:
        tiny.tokenizer.chat_template = template


def test_a_bos_is_added_where_the_tokenizer_itself_adds_one(any_model):
    ids = prompt_ids(any_model, "w1 w2")
    adds = any_model.kind != "gpt2"
    assert ids[0] == (
        1 if adds else any_model.tokenizer("w1", add_special_tokens=False)["input_ids"][0]
    )
    assert len(ids) == 2 + adds
    assert prompt_ids(any_model, "<s> w1").count(1) == 1


def test_an_empty_prompt_is_a_bos_or_an_error(any_model):
    if any_model.kind == "gpt2":
        with pytest.raises(ValueError, match="prompt is empty"):
            prompt_ids(any_model, "")
    else:
        assert prompt_ids(any_model, "") == [1]


def test_padding_sides(tiny):
    left, right = (pad(tiny, [[5, 6, 7], [8]], side=side) for side in ("left", "right"))
    assert left.attention_mask.tolist() == [[1, 1, 1], [0, 0, 1]]
    assert right.attention_mask.tolist() == [[1, 1, 1], [1, 0, 0]]
    assert left.tokens[1, 2] == right.tokens[1, 0] == 8
    assert torch.equal(left.lengths, torch.tensor([3, 1]))


@pytest.mark.embedded
def test_the_embedded_models_boundaries(embedded):
    prompt = wb.chat(embedded, "What is the capital of France?")
    head, tail = completion_ids(embedded, prompt, "Paris.")
    assert head == prompt_ids(embedded, prompt)
    assert head.count(embedded.tokenizer.bos_token_id) == 3, "system, user, assistant; none added"
    assert embedded.tokenizer.decode(tail) == "Paris."
    with pytest.raises(ValueError, match="merges with the end") as error:
        completion_ids(embedded, "The capital of Fra", "nce is Paris")
    message = str(error.value)
    assert "'nce is Paris' merges with the end of its prompt 'The capital of Fra'" in message
    assert "' Fra'" in message
    assert "' France'" in message


def test_where_tokens_of_a_completion_end(tiny):
    assert completion_ends(tiny, "w1 w2 ", "w3 w4") == [8, 11]
    assert completion_ends(tiny, "w1", " w3  w4") == [5, 9]


@pytest.mark.embedded
def test_where_real_tokens_end(embedded):
    prompt, answer = chat(embedded, "Who?"), "It's José, unbelievably."
    ends = completion_ends(embedded, prompt, answer)
    text = prompt + answer
    pieces = [text[a:b] for a, b in zip([len(prompt), *ends], ends, strict=False)]
    ids = completion_ids(embedded, prompt, answer)[1]
    assert "".join(pieces) == answer
    assert pieces[:2] == [embedded.tokenizer.decode([i]) for i in ids[:2]]
