"""What holds for any prompt and completion where the two meet: tokens, their ends, the padding."""

from __future__ import annotations

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.conftest import WORDS, boot
from workbench.models.text import completion_ends, completion_ids, pad, prompt_ids

PIECES = st.lists(
    st.sampled_from(["w1", "w2", "w17", " ", "  ", "\n", "<s>", "</s>", "<user>", "strange", "é"]),
    max_size=6,
).map("".join)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | st.lists(
    st.sampled_from(
        [
            "Hello",
            " world",
            "'s",
            " 1",
            "23",
            ".",
            "\n",
            "<|im_end|>",
            "\n\n",
            " ",
            "ing",
            "é",
            "🙂",
        ]
    ),
    max_size=6,
).map("".join)
SETTINGS = settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@pytest.fixture(scope="module", params=["llama", "gpt2"])
def model(request, tokenizers):
    """One whose tokenizer adds a BOS, and one whose does not."""
    return boot(request.param, tokenizers)


def check_boundary(model, prompt, completion):
    """Either the tokens after the prompt's own, or an error that names both pieces."""
    bos = model.tokenizer.bos_token_id
    try:
        head, tail = completion_ids(model, prompt, completion)
    except ValueError as error:
        said = str(error)
        assert "empty" in said or (repr(completion) in said and ("merges" in said or "own" in said))
        return False
    assert head == prompt_ids(model, prompt)
    assert head + tail == prompt_ids(model, prompt + completion)
    assert tail
    if bos is not None and head[:2] == [bos, bos]:
        assert prompt.count(model.tokenizer.bos_token) > 1, "a BOS is never doubled"
    ends = completion_ends(model, prompt, completion)
    assert len(ends) == len(tail)
    assert ends == sorted(ends)
    assert len(prompt) <= ends[-1] <= len(prompt + completion)
    return True


@SETTINGS
@given(prompt=PIECES, completion=PIECES)
def test_completions_are_the_tokens_after_the_prompt_or_an_error(model, prompt, completion):
    check_boundary(model, prompt, completion)


@SETTINGS
@given(words=st.lists(st.sampled_from(WORDS), min_size=2, max_size=8), cut=st.integers(1, 7))
def test_whole_words_always_part_well(model, words, cut):
    cut = min(cut, len(words) - 1)
    prompt, completion = " ".join(words[:cut]), " " + " ".join(words[cut:])
    assert check_boundary(model, prompt, completion)
    assert len(completion_ids(model, prompt, completion)[1]) == len(words) - cut


@pytest.mark.embedded
@SETTINGS
@given(prompt=TEXTS, completion=TEXTS)
def test_completions_of_a_real_tokenizer(embedded, prompt, completion):
    """Byte-level pieces that merge across the boundary, emoji of several tokens, special tokens."""
    check_boundary(embedded, prompt, completion)


@SETTINGS
@given(
    rows=st.lists(st.lists(st.integers(0, 96), min_size=1, max_size=9), min_size=1, max_size=5),
    side=st.sampled_from(["left", "right"]),
)
def test_padding_loses_nothing_and_hides_the_rest(model, rows, side):
    batch = pad(model, rows, side=side)
    assert batch.lengths.tolist() == [len(row) for row in rows]
    kept = [
        tokens[mask.bool()].tolist()
        for tokens, mask in zip(batch.tokens, batch.attention_mask, strict=True)
    ]
    assert kept == rows
    width = max(map(len, rows))
    edge = batch.attention_mask[:, -1 if side == "left" else 0]
    assert batch.tokens.shape == (len(rows), width)
    assert torch.equal(edge, torch.ones_like(edge))
