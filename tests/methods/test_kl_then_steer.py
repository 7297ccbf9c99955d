"""KL-then-steer: its divergence is the plain one, and training lowers it where it should."""

import copy
import importlib

import pytest
import torch

import workbench as wb
from tests.conftest import tiny_hf, wrap
from workbench.methods.kl_then_steer import KtsSettings, kl_then_steer
from workbench.models.adapter import merge
from workbench.models.hooked import logits
from workbench.models.text import prompt_ids

pytest.importorskip("peft")

kts = importlib.import_module("workbench.methods.kl_then_steer")  # not the function

LAYER = 1
TEXTS = ["w1 w2 w3 w4 w5 w6", "w7 w8 w9", "w4 w2 w9 w8 w1", "w3 w3 w5 w6"]
OTHERS = ["w9 w1 w4 w4 w2", "w6 w7 w5 w1"]
SETTINGS = KtsSettings(scale=2, steps=40, batch_size=4, learning_rate=2e-2, rank=4, max_tokens=16)


@pytest.fixture(autouse=True)
def in_float32(monkeypatch):
    monkeypatch.setattr(kts, "bfloat16_is_fast", lambda device: False)


def a_vector(seed=0):
    values = torch.randn(32, generator=torch.Generator().manual_seed(seed))
    return wb.SteeringVector(3 * values / values.norm(), LAYER, label="random")


def divergence(model, texts, scales, against=None):
    """KL(steered ‖ unsteered `against`), a mean over tokens, text by text on a bridge."""
    found = []
    for text, scale in zip(texts, scales, strict=True):
        tokens = torch.tensor([prompt_ids(model, text)])
        plain = logits(against or model, tokens)[0].float().log_softmax(-1)
        with wb.steer(model, wb.Add(a_vector(), scale=float(scale))):
            steered = logits(model, tokens)[0].float().log_softmax(-1)
        found.append((steered.exp() * (steered - plain)).sum(-1))
    return torch.cat(found).mean()


def run(tokenizers, settings=SETTINGS, **changes):
    arguments = {"vectors": [a_vector()], "texts": TEXTS, **changes}
    return kl_then_steer(
        tiny_hf("llama"),
        tokenizers[True],
        arguments["vectors"],
        arguments["texts"],
        settings,
        parent="tiny",
        progress=False,
    )


def merged(adapter, tokenizers):
    hf_model = tiny_hf("llama")
    merge(hf_model, adapter)
    return wrap(hf_model, tokenizers[True], name="tiny-llama")


def test_the_first_divergence_is_that_of_the_untrained_model(tokenizers):
    """The factors are nothing yet, so it is what a bridge says about the plain model."""
    settings = KtsSettings(scale=2, unsteered=0, steps=1, batch_size=4, rank=4, max_tokens=16)
    ((chosen, scales),) = kts._draws(len(TEXTS), settings)
    model = wrap(tiny_hf("llama"), tokenizers[True], name="tiny-llama")
    expected = divergence(model, [TEXTS[i] for i in chosen], scales)
    found = run(tokenizers, settings).facts["divergences"]
    assert found == [pytest.approx(float(expected), rel=1e-3)]
    assert float(expected) > 0.01


def test_a_trained_model_is_changed_less_by_steering(tokenizers):
    """Also on texts that it was not trained on, and unsteered it stays what it was."""
    plain = wrap(tiny_hf("llama"), tokenizers[True], name="tiny-llama")
    trained = merged(run(tokenizers), tokenizers)
    for texts, share in ((TEXTS, 0.5), (OTHERS, 0.8)):
        before = divergence(plain, texts, [2.0] * len(texts))
        after = divergence(trained, texts, [2.0] * len(texts), against=plain)
        assert after < share * before
    drift = divergence(trained, TEXTS, [0.0] * len(TEXTS), against=plain)
    assert drift < 0.2 * divergence(plain, TEXTS, [2.0] * len(TEXTS))


def test_the_model_is_left_as_it_was(tokenizers):
    hf_model = tiny_hf("llama")
    before = copy.deepcopy(hf_model.state_dict())
    asked = [p.requires_grad for p in hf_model.parameters()]
    state = torch.random.get_rng_state()
    quick = KtsSettings(steps=2, batch_size=2, rank=2)
    kl_then_steer(
        hf_model, tokenizers[True], [a_vector()], TEXTS, quick, parent="tiny", progress=False
    )
    assert all(torch.equal(before[name], now) for name, now in hf_model.state_dict().items())
    assert set(before) == set(hf_model.state_dict())
    assert [p.requires_grad for p in hf_model.parameters()] == asked
    assert all(p.grad is None for p in hf_model.parameters())
    assert not any(m._forward_pre_hooks for m in hf_model.modules())
    assert torch.equal(torch.random.get_rng_state(), state)


def test_what_does_not_fit_is_refused(tokenizers):
    with pytest.raises(ValueError, match="no vector"):
        run(tokenizers, vectors=[])
    with pytest.raises(ValueError, match="no text"):
        run(tokenizers, texts=[])
    with pytest.raises(ValueError, match="two tokens or more"):
        run(tokenizers, texts=[""])
    with pytest.raises(ValueError, match="is 16 wide, the model 32"):
        run(tokenizers, vectors=[wb.SteeringVector(torch.ones(16), LAYER)])
    with pytest.raises(ValueError, match="unsteered"):
        KtsSettings(unsteered=1.0)


def test_the_papers_settings():
    published = KtsSettings.published()
    assert (published.rank, published.learning_rate, published.steps) == (128, 1e-5, 13_000)
