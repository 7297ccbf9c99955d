"""Orthogonalized weights are ablation at every place; the model they are made from is untouched."""

import pytest
import torch

import workbench as wb
from tests.conftest import TL3, boot, tiny_hf
from workbench.models.hooked import logits
from workbench.models.plain import plain_of
from workbench.steering import Ablate, SteeringVector
from workbench.steering.activations import activations
from workbench.steering.orthogonalized import orthogonalize, orthogonalized

pytestmark = pytest.mark.skipif(TL3, reason="made from the plain model behind a bridge")
TOKENS = torch.tensor([[1, 5, 9, 13, 2, 30]])


def a_vector(width):
    generator = torch.Generator().manual_seed(0)
    return SteeringVector(torch.randn(width, generator=generator), 1, label="v")


@pytest.mark.parametrize("kind", ["llama", "gpt2", "gpt_neox", "qwen3"])
def test_it_equals_the_ablation_hooks(tokenizers, kind):
    model = boot(kind, tokenizers)
    vector = a_vector(32)
    before = logits(model, TOKENS)
    made = orthogonalized(model, vector)
    with wb.steer(model, Ablate(vector)):
        expected = logits(model, TOKENS)
    assert not torch.allclose(expected, before, atol=1e-2)
    torch.testing.assert_close(logits(made, TOKENS), expected, atol=1e-3, rtol=1e-3)
    assert torch.equal(logits(model, TOKENS), before)
    assert plain_of(made) is not None
    prompts = ["w1 w2 ", "w3 "]
    read = activations(made, prompts)[:, 1:] @ (vector.values / vector.norm)
    assert float(read.abs().max()) < 1e-3
    texts = wb.generate(made, prompts, max_new_tokens=4, progress=False)
    assert texts == wb.generate(model, prompts, Ablate(vector), max_new_tokens=4, progress=False)


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_in_float64_it_is_the_same_to_rounding(kind):
    """Against plain hooks on the modules themselves."""
    plain, changed = (tiny_hf(kind).double() for _ in range(2))
    vector = a_vector(32).values
    unit = vector.double() / vector.double().norm()
    orthogonalize(changed, vector)

    def ablate(module, args, output):
        hidden = output[0] if isinstance(output, tuple) else output
        edited = hidden - (hidden @ unit)[..., None] * unit
        return (edited, *output[1:]) if isinstance(output, tuple) else edited

    body = plain.model if kind == "llama" else plain.transformer
    if kind == "llama":
        parts = [body.embed_tokens]
        parts += [part for layer in body.layers for part in (layer.self_attn, layer.mlp)]
    else:
        parts = [body.wte, body.wpe]
        parts += [part for layer in body.h for part in (layer.attn, layer.mlp)]
    handles = [part.register_forward_hook(ablate) for part in parts]
    with torch.no_grad():
        expected = plain(TOKENS).logits
        found = changed(TOKENS).logits
    for handle in handles:
        handle.remove()
    assert float((found - expected).abs().max()) < 1e-8


def test_a_tied_unembedding_keeps_its_weights(tokenizers):
    hf_model = tiny_hf("gpt2")
    assert hf_model.lm_head.weight is hf_model.transformer.wte.weight
    before = hf_model.lm_head.weight.clone()
    orthogonalize(hf_model, a_vector(32).values)
    assert torch.equal(hf_model.lm_head.weight, before)
    assert not torch.equal(hf_model.transformer.wte.weight, before)


@pytest.mark.parametrize("kind", ["gemma2", "gemma3"])
def test_models_that_norm_what_they_write_are_refused(kind):
    with pytest.raises(ValueError, match="normalizes what its blocks write"):
        orthogonalize(tiny_hf(kind), a_vector(32).values)


def test_a_direction_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="not all zero"):
        orthogonalize(tiny_hf("llama"), torch.zeros(32))
    with pytest.raises(ValueError, match="must be 32 numbers"):
        orthogonalize(tiny_hf("llama"), torch.ones(8))


@pytest.mark.embedded
def test_on_the_embedded_model(embedded):
    vector = a_vector(embedded.cfg.d_model)
    made = orthogonalized(embedded, vector)
    tokens = torch.arange(40, 60)[None]
    with wb.steer(embedded, Ablate(vector)):
        expected = logits(embedded, tokens)
    torch.testing.assert_close(logits(made, tokens), expected, atol=1e-3, rtol=1e-3)
