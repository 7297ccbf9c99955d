"""Generation on the plain model equals generation on the bridge, and stands back where it must."""

from __future__ import annotations

from contextlib import contextmanager

import pytest
import torch

import workbench as wb
from tests.conftest import TL3, all_modules
from workbench.models.hooked import resid_pre
from workbench.models.identity import LoadFacts, facts_of, remember
from workbench.models.plain import plain_of
from workbench.steering import hooks

pytestmark = pytest.mark.skipif(TL3, reason="a HookedTransformer has no plain model")

PROMPTS = ["w1 w2 w3 w4 w5 w6 w7", "w8 w9", "w10 w11 w12"]
V = wb.SteeringVector(torch.linspace(-2, 2, 32), 1)
W = wb.SteeringVector(V.values.flip(0) * 2, 2)
P = wb.Positions
AT_TOKENS = P.at_tokens([20, 30, 16, 17, *range(40, 60)])
OWN = P.mask(torch.tensor([True, False, True, True, False, True] * 2))
STEERINGS = {
    "none": (),
    "all": wb.Add(V),
    "prompt": wb.Add(V, positions=P.prompt()),
    "completion": wb.Add(V, positions=P.completion()),
    "last": wb.Clamp(V, value=2.0, positions=P.last(2)),
    "span": wb.Add(V, positions=P.span(1, 6)),
    "tokens": wb.Add(V, scale=3.0, positions=AT_TOKENS),
    "mask": wb.Add(V, positions=OWN),
    "either": wb.Add(V, positions=P.last(1) | P.completion()),
    "two layers": wb.Add(wb.SteeringVector(V.values, (0, 3))),
    "one after the other": [wb.Add(V), wb.Clamp(wb.SteeringVector(W.values, 1), value=1.0)],
    "ablate at layers": wb.Ablate(V, layers=[1, 2]),
    "row by row": wb.Add([V, W, None], scale=[1.0, -2.0, 1.0]),
    "function": lambda resid, hook: resid + hook.layer() * V.values,
}


@contextmanager
def counting(model):
    """How many passes the plain model and the bridge's own ran inside the context."""
    passes = {"plain": 0, "bridge": 0}

    def count(name):
        def hook(module, args):
            passes[name] += 1

        hook.__module__ = "transformer_lens"  # else the model would count as hooked
        return hook

    inner = {"plain": plain_of(model).hf_model, "bridge": model.original_model}
    handles = [hf.register_forward_pre_hook(count(name)) for name, hf in inner.items()]
    try:
        yield passes
    finally:
        for handle in handles:
            handle.remove()


def both_ways(model, prompts, steering, monkeypatch, **settings):
    """What the plain model writes, and what the bridge does."""
    settings = {"max_new_tokens": 6, "min_new_tokens": 6, "progress": False, **settings}
    with counting(model) as passes:
        fast = wb.generate(model, prompts, steering, details=True, **settings)
    assert passes == {"plain": settings["max_new_tokens"], "bridge": 0}
    with monkeypatch.context() as patch:
        patch.setattr(hooks, "plain_of", lambda model: None)
        slow = wb.generate(model, prompts, steering, details=True, **settings)
    return fast, slow


def assert_same(fast, slow, atol=1e-4):
    for one, other in zip(fast, slow, strict=True):
        assert (one.text, one.stopped) == (other.text, other.stopped)
        assert one.tokens.tolist() == other.tokens.tolist()
        torch.testing.assert_close(one.log_probs, other.log_probs, rtol=0, atol=atol)


@pytest.mark.parametrize("name", STEERINGS)
def test_the_plain_model_writes_what_the_bridge_writes(any_model, name, monkeypatch):
    assert_same(*both_ways(any_model, PROMPTS, STEERINGS[name], monkeypatch))


def test_long_answers_and_samples_too(any_model, monkeypatch):
    long = {"max_new_tokens": 90, "min_new_tokens": 90, "temperature": 1.0, "seed": 5}
    assert_same(*both_ways(any_model, PROMPTS[1:], wb.Add(V), monkeypatch, **long))


@pytest.mark.embedded
def test_the_embedded_model_too(embedded, monkeypatch):
    questions = ["What is the capital of France?", "Hi", "Name three birds of prey, please."]
    prompts = [wb.chat(embedded, question) for question in questions]
    values = torch.randn(576, generator=torch.Generator().manual_seed(0))
    v = wb.SteeringVector(25 * values / values.norm(), 10)
    long = {"max_new_tokens": 16, "min_new_tokens": 16}
    for steering in ((), wb.Add(v), wb.Add(v, positions=P.last(3))):
        assert_same(*both_ways(embedded, prompts, steering, monkeypatch, **long), atol=1e-3)


def test_streaming_equals_streaming_on_the_bridge(any_model, monkeypatch):
    with counting(any_model) as passes:
        fast = list(wb.stream(any_model, PROMPTS[0], wb.Add(V), max_new_tokens=5))
    assert passes == {"plain": len(fast), "bridge": 0}
    monkeypatch.setattr(hooks, "plain_of", lambda model: None)
    slow = list(wb.stream(any_model, PROMPTS[0], wb.Add(V), max_new_tokens=5))
    assert [(t.token, t.text) for t in fast] == [(t.token, t.text) for t in slow]
    for one, other in zip(fast, slow, strict=True):
        assert one.log_prob == pytest.approx(other.log_prob, abs=1e-4)
        assert one.unsteered_log_prob == pytest.approx(other.unsteered_log_prob, abs=1e-4)


def test_edits_elsewhere_run_on_the_bridge(tiny):
    elsewhere = [wb.Ablate(V), ("blocks.1.hook_mlp_out", lambda x, hook: 2 * x), wb.Add(V)]
    for steering in (*elsewhere[:2], elsewhere):
        with counting(tiny) as passes:
            wb.generate(tiny, PROMPTS, steering, 3, min_new_tokens=3, progress=False)
        assert passes == {"plain": 0, "bridge": 3}


def test_hooks_and_steering_around_generation_act(tiny):
    facts = facts_of(tiny)
    remember(tiny, LoadFacts(facts.name, adds_bos=facts.adds_bos))
    greedy = {"max_new_tokens": 6, "progress": False}
    unsteered = wb.generate(tiny, PROMPTS, **greedy)
    expected = wb.generate(tiny, PROMPTS, wb.Add(V), **greedy)
    assert unsteered != expected
    adding = [(resid_pre(1), lambda resid, hook: resid + V.values)]
    for around in (wb.steer(tiny, wb.Add(V)), tiny.hooks(fwd_hooks=adding)):
        with around:
            assert wb.generate(tiny, PROMPTS, **greedy) == expected
            streamed = wb.stream(tiny, PROMPTS[0], max_new_tokens=6)
            assert "".join(token.text for token in streamed) == expected[0]
    assert wb.generate(tiny, PROMPTS, **greedy) == unsteered


def test_the_plain_model_is_left_as_it_was_found(tiny):
    plain = plain_of(tiny).hf_model
    modules = list(dict.fromkeys([*all_modules(tiny), *plain.modules()]))

    def state():
        return [(m.training, len(m._forward_hooks), len(m._forward_pre_hooks)) for m in modules]

    def fails(resid, hook):
        raise RuntimeError("on purpose")

    for training in (True, False):
        tiny.train(training)
        before = state()
        wb.generate(tiny, PROMPTS, wb.Add(V), max_new_tokens=2, progress=False)
        tokens = wb.stream(tiny, PROMPTS[0], wb.Add(V), max_new_tokens=3)
        next(tokens)
        assert state() == before
        tokens.close()
        with pytest.raises(RuntimeError, match="on purpose"):
            wb.generate(tiny, PROMPTS, [wb.Add(V), fails], progress=False)
        assert state() == before
    assert not any(module.training for module in plain.modules())
