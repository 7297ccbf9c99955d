"""Adapters are peft's own files, and merging them equals what peft computes."""

import copy

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.conftest import tiny_hf
from workbench.models.adapter import Adapter, AdapterError, adapter_hash, load_adapter, merge

MODULES = ("model.layers.0.self_attn.q_proj", "model.layers.2.mlp.down_proj")
TOKENS = torch.arange(5, 15)[None]


def adapter(seed=0, modules=MODULES, alpha=16):
    model, generator = tiny_hf("llama"), torch.Generator().manual_seed(seed)
    factors = {}
    for name in modules:
        outputs, inputs = model.get_submodule(name).weight.shape
        a = torch.randn(4, inputs, generator=generator).half().float()
        factors[name] = (a, (0.1 * torch.randn(outputs, 4, generator=generator)).half().float())
    return Adapter("tiny", "1a2b", alpha, factors, {"seed": seed})


def test_what_is_saved_is_loaded(tmp_path):
    ours = adapter()
    folder = ours.save(tmp_path / "one")
    found = load_adapter(folder)
    assert (found.parent, found.parent_revision, found.alpha) == ("tiny", "1a2b", 16)
    assert found.facts == {"seed": 0}
    assert found.rank == 4
    assert set(found.factors) == set(MODULES)
    for name, factors in ours.factors.items():
        for a, b in zip(factors, found.factors[name], strict=True):
            assert b.dtype == torch.float16
            assert torch.equal(a, b.float())
    assert adapter_hash(folder) != adapter_hash(adapter(seed=1).save(tmp_path / "two"))


@torch.no_grad()
def test_merged_equals_peft(tmp_path):
    peft = pytest.importorskip("peft")
    folder = adapter().save(tmp_path)
    merged, plain = tiny_hf("llama"), tiny_hf("llama")
    merge(merged, load_adapter(folder))
    wrapped = peft.PeftModel.from_pretrained(copy.deepcopy(plain), folder)
    expected = wrapped(TOKENS).logits
    torch.testing.assert_close(merged(TOKENS).logits, expected, rtol=1e-4, atol=1e-4)
    assert not torch.allclose(plain(TOKENS).logits, expected, atol=1e-2)


def test_an_adapter_of_another_model_is_refused_and_changes_nothing():
    model = tiny_hf("llama")
    before = copy.deepcopy(model.state_dict())
    foreign = adapter()
    factors = {MODULES[0]: foreign.factors[MODULES[0]], MODULES[1]: foreign.factors[MODULES[0]]}
    for wrong in (factors, {**foreign.factors, "model.layers.9.mlp.up_proj": factors[MODULES[0]]}):
        with pytest.raises(AdapterError, match=r"not one for this model.*made for tiny"):
            merge(model, Adapter("tiny", None, 16, wrong, {}))
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[name])


def test_what_is_missing_or_damaged_is_named(tmp_path):
    with pytest.raises(AdapterError, match=r"lacks adapter_config.json and adapter_model"):
        load_adapter(tmp_path)
    folder = adapter().save(tmp_path)
    tensors = load_file(folder / "adapter_model.safetensors")
    name = next(name for name in tensors if "lora_B" in name)
    save_file({k: v for k, v in tensors.items() if k != name}, folder / "adapter_model.safetensors")
    with pytest.raises(AdapterError, match=r"could not be read.*lora_B"):
        load_adapter(folder)
    (folder / "adapter_model.safetensors").write_bytes(b"no tensors")
    with pytest.raises(AdapterError, match="could not be read"):
        load_adapter(folder)
