"""A copy is edited, the model it was made from is not, and both work in every way."""

import pytest
import torch

import workbench as wb
from workbench.models.edited import edited_copy
from workbench.models.hooked import logits
from workbench.models.identity import facts_of

TOKENS = torch.tensor([[1, 20, 30, 40]])


def doubled(hf_model):
    with torch.no_grad():
        hf_model.get_output_embeddings().weight.mul_(2.0)


def test_only_the_copy_is_edited(any_model):
    before = logits(any_model, TOKENS).detach().clone()
    made = edited_copy(any_model, doubled, "doubled")
    assert torch.equal(logits(any_model, TOKENS), before)
    assert not torch.allclose(logits(made, TOKENS), before, atol=1e-3)
    assert facts_of(made).name == f"{facts_of(any_model).name}, doubled"
    for _ in range(2):  # the plain model behind the copy is asked for, too
        texts = wb.generate(made, ["w1 w2 "], max_new_tokens=3, progress=False)
    assert len(texts) == 1


def test_unchanged_it_is_the_same_function(tiny):
    made = edited_copy(tiny, lambda hf_model: None, "same")
    assert torch.equal(logits(made, TOKENS), logits(tiny, TOKENS))
    prompts = ["w1 w2 w3 ", "w4 "]
    assert wb.generate(made, prompts, max_new_tokens=6, progress=False) == wb.generate(
        tiny, prompts, max_new_tokens=6, progress=False
    )


def test_a_model_with_hooks_is_refused(tiny):
    vector = wb.SteeringVector(torch.ones(32), 1)
    with wb.steer(tiny, wb.Add(vector)), pytest.raises(ValueError, match="copied and edited"):
        edited_copy(tiny, doubled, "x")
