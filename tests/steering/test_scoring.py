"""Log-probs of completions equal a plain computation, alone or in a padded batch."""

import pytest
import torch

import workbench as wb
from tests.conftest import tiny_hf
from workbench.models.text import completion_ids, prompt_ids

pytestmark = pytest.mark.tl3

PROMPTS = ["w1 w2 w3 w4", "w5 w6", "w7 w8 w9"]
COMPLETIONS = [" w10 w11", " w12", " w13 w14 w15"]
V = wb.SteeringVector(torch.linspace(-2, 2, 32), 1)


def plain(hf, head, tail, coldness):
    with torch.no_grad():
        read = hf(torch.tensor([head + tail])).logits[0].double()
    values = (coldness * read).log_softmax(-1)
    return [float(values[len(head) - 1 + k, token]) for k, token in enumerate(tail)]


def test_batched_scores_equal_plain_hugging_face_ones(any_model):
    hf = tiny_hf(any_model.kind)
    scored = wb.log_prob(any_model, PROMPTS, COMPLETIONS, coldness=0.7, batch_size=2)
    for i, (prompt, completion) in enumerate(zip(PROMPTS, COMPLETIONS, strict=True)):
        expected = plain(hf, *completion_ids(any_model, prompt, completion), 0.7)
        assert scored.token_log_probs[i].tolist() == pytest.approx(expected, abs=1e-4)
        assert float(scored.total[i]) == pytest.approx(sum(expected), abs=1e-4)
    assert scored.mean[2] == pytest.approx(float(scored.total[2]) / 3)


def test_steered_scores_and_the_frame(tiny):
    clean = wb.log_prob(tiny, PROMPTS, COMPLETIONS)
    steered = wb.log_prob(tiny, PROMPTS, COMPLETIONS, wb.Add(V))
    assert (clean.total - steered.total).abs().min() > 1e-3
    rows = wb.Add([V, None, V])
    mixed = wb.log_prob(tiny, PROMPTS, COMPLETIONS, rows, batch_size=1)
    torch.testing.assert_close(mixed.total[1], clean.total[1])
    torch.testing.assert_close(mixed.total[[0, 2]], steered.total[[0, 2]], rtol=0, atol=1e-4)
    frame = clean.to_frame()
    assert list(frame.columns) == ["completion", "place", "token", "log_prob"]
    assert len(frame) == 6
    assert len(clean) == 3


def test_one_prompt_goes_with_every_completion(tiny):
    scored = wb.log_prob(tiny, "w1 w2", [" w3", " w4 w5"])
    assert scored.total.shape == (2,)


def test_prompts_get_the_bos_that_the_tokenizer_adds_and_no_second_one(tiny):
    assert prompt_ids(tiny, "w1")[0] == tiny.tokenizer.bos_token_id
    assert prompt_ids(tiny, "<s> w1") == prompt_ids(tiny, "w1")


def test_bad_texts_say_what_was_wrong(tiny):
    with pytest.raises(ValueError, match="do not pair up"):
        wb.log_prob(tiny, ["w1"], ["w2", "w3"])
    with pytest.raises(ValueError, match="merges with the end"):
        wb.log_prob(tiny, "w1 w2", "3")
    with pytest.raises(ValueError, match="no tokens of its own"):
        wb.log_prob(tiny, "w1", " ")
    with pytest.raises(ValueError, match="context of tiny-llama holds 128"):
        wb.log_prob(tiny, "w1", " w2" * 200)
