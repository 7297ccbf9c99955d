"""Patches against plain hooks; reading against the weights."""

import numpy as np
import pytest
import torch

import workbench as wb
from workbench.analysis.heads import indirect_effects, reading_heads
from workbench.models.text import completion_ids, prompt_ids

PROMPTS, TEXTS = ["w1 w2 w3 ", "w4 w5 "], ("w20", "w30")
VECTOR = wb.SteeringVector(torch.randn(32, generator=torch.Generator().manual_seed(1)) * 4, 1)


def test_layers_below_the_vector_carry_nothing_and_frames_are_tidy(any_model):
    found = indirect_effects(any_model, PROMPTS, *TEXTS, wb.Add(VECTOR))
    assert found.enough.shape == found.needed.shape == (2, 4, 5)
    assert np.abs(found.enough[:, 0]).max() < 1e-5
    assert np.abs(found.needed[:, 0]).max() < 1e-5
    assert np.abs(found.enough[:, 1:]).max() > 1e-4
    frame = found.to_frame()
    assert list(frame["part"][:5]) == ["0", "1", "2", "3", "MLP"]
    assert (frame["n"] == 2).all()


@torch.no_grad()
def test_a_patch_is_what_plain_hooks_give(tiny):
    """Head 2 and the MLP of layer 2, with Hugging Face's own modules."""
    hf, (prompt,) = tiny.original_model, PROMPTS[:1]
    tokens = torch.tensor([prompt_ids(tiny, prompt)])
    aims = [completion_ids(tiny, prompt, text)[1][0] for text in TEXTS]
    block = hf.model.layers[2]

    def run(steered, patch=None):
        kept, handles = {}, []
        if steered:
            handles.append(
                hf.model.layers[1].register_forward_pre_hook(
                    lambda m, args, kwargs: ((args[0] + VECTOR.values, *args[1:]), kwargs),
                    with_kwargs=True,
                )
            )

        def before_o(module, args):
            kept["z"] = args[0].clone()
            if patch and "z" in patch:
                mixed = args[0].clone()
                mixed[..., 16:24] = patch["z"][..., 16:24]
                return (mixed,)
            return None

        def after_mlp(module, args, out):
            kept["mlp"] = out.clone()
            return patch["mlp"] if patch and "mlp" in patch else None

        handles.append(block.self_attn.o_proj.register_forward_pre_hook(before_o))
        handles.append(block.mlp.register_forward_hook(after_mlp))
        said = hf(tokens).logits[0, -1]
        for handle in handles:
            handle.remove()
        return float(said[aims[0]] - said[aims[1]]), kept

    clean, plain_kept = run(False)
    steered, steered_kept = run(True)
    found = indirect_effects(tiny, [prompt], *TEXTS, wb.Add(VECTOR), layers=[2])
    assert found.whole[0] == pytest.approx(steered - clean, abs=1e-4)
    head = {"z": steered_kept["z"]}
    assert found.enough[0, 0, 2] == pytest.approx(run(False, head)[0] - clean, abs=1e-4)
    mlp = {"mlp": plain_kept["mlp"]}
    assert found.needed[0, 0, 4] == pytest.approx(steered - run(True, mlp)[0], abs=1e-4)


def test_the_model_is_left_as_it_was(tiny):
    before = wb.log_prob(tiny, PROMPTS[0], "w20").total
    indirect_effects(tiny, PROMPTS, *TEXTS, wb.Add(VECTOR), layers=[1])
    assert float(wb.log_prob(tiny, PROMPTS[0], "w20").total) == float(before)
    with pytest.raises(ValueError, match="no prompts"):
        indirect_effects(tiny, [], *TEXTS, wb.Add(VECTOR))


def test_reading_is_of_the_heads_own_maps(tiny):
    table = reading_heads(tiny, VECTOR)
    assert list(table["layer"].unique()) == [1, 2, 3]
    assert len(table) == 3 * 4
    # a vector that one head's keys read best stands out there
    block = tiny.original_model.model.layers[2]
    weight = block.self_attn.k_proj.weight[:8].detach()  # keys of heads 0 and 1
    read = torch.linalg.svd(weight)[2][0] / block.input_layernorm.weight.detach()
    chosen = reading_heads(tiny, wb.SteeringVector(read, 2)).set_index(["layer", "head"])
    for head in (0, 1):
        assert chosen.loc[(2, head), "key"] > chosen.loc[(2, head), "key_high"]
    assert (chosen[["ov", "query", "key"]] > 0).all().all()
