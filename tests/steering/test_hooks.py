"""Steering equals a plain Hugging Face hook, reaches what it should, and leaves nothing behind."""

import pytest
import torch

import workbench as wb
from tests.conftest import TL3, all_modules, boot, tiny_hf
from workbench.models.converted import load_packaged
from workbench.models.hooked import resid_pre
from workbench.models.known import KNOWN
from workbench.models.text import prompt_ids
from workbench.steering import Provenance
from workbench.steering.interventions import as_interventions
from workbench.steering.operators import ablate, add, clamp

pytestmark = pytest.mark.tl3

TOKENS = torch.tensor([[1, 20, 30, 40, 50, 60], [1, 21, 31, 41, 51, 61]])


def vector(layer, width=32, seed=0, norm=3.0):
    values = torch.randn(width, generator=torch.Generator().manual_seed(seed))
    return wb.SteeringVector(values * norm / values.norm(), layer)


def hf_block(hf, layer):
    """Block `layer` of a Hugging Face model."""
    body = getattr(hf, "model", None) or getattr(hf, "transformer", None) or hf.gpt_neox
    return (getattr(body, "layers", None) or body.h)[layer]


def adding(values):
    """A pre-hook for a Hugging Face block that adds `values` to its input."""

    def pre_hook(module, args, kwargs):
        if args:
            return (args[0] + values, *args[1:]), kwargs
        return args, {**kwargs, "hidden_states": kwargs["hidden_states"] + values}

    return pre_hook


def count_hooks(model):
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in all_modules(model))


@pytest.mark.parametrize("layer", [0, 2])
def test_a_steered_forward_equals_a_hugging_face_hook(any_model, layer):
    hf = tiny_hf(any_model.kind)  # the same seed: the same weights, never wrapped
    v = vector(layer)
    handle = hf_block(hf, layer).register_forward_pre_hook(adding(2 * v.values), with_kwargs=True)
    with torch.no_grad():
        expected = hf(TOKENS).logits
        handle.remove()
        unsteered = hf(TOKENS).logits
        with wb.steer(any_model, wb.Add(v, scale=2.0)):
            steered = any_model(TOKENS)
        after = any_model(TOKENS)
    assert (expected - unsteered).abs().max() > 0.01, "the vector must be felt"
    torch.testing.assert_close(steered, expected, rtol=0, atol=1e-5)
    torch.testing.assert_close(after, unsteered, rtol=0, atol=1e-5)


def test_below_the_layer_nothing_changes_and_at_it_the_vector_is_added(any_model):
    v = vector(2)
    _, clean = any_model.run_with_cache(TOKENS)
    with wb.steer(any_model, wb.Add(v)):
        _, steered = any_model.run_with_cache(TOKENS)
    for layer in (0, 1):
        assert torch.equal(steered[resid_pre(layer)], clean[resid_pre(layer)])
    assert torch.equal(steered[resid_pre(2)], clean[resid_pre(2)] + v.values)
    assert not torch.equal(steered[resid_pre(3)], clean[resid_pre(3)])


def test_ablation_reaches_everything_that_is_written_to_the_stream(any_model):
    v = vector(0)
    unit = v.values / v.norm
    with wb.steer(any_model, wb.Ablate(v)):
        _, cache = any_model.run_with_cache(TOKENS)
    read = [f"blocks.{i}.hook_resid_{at}" for i in range(4) for at in ("pre", "mid", "post")]
    seen = [name for name in read if name in cache]
    assert len(seen) >= 8
    for name in seen:
        assert (cache[name] @ unit).abs().max() < 2e-5, name
    _, clean = any_model.run_with_cache(TOKENS)
    assert (clean["blocks.3.hook_resid_post"] @ unit).abs().max() > 0.05


def test_ablation_of_one_layer_leaves_later_blocks_free_to_write(any_model):
    v = vector(0)
    unit = v.values / v.norm
    with wb.steer(any_model, wb.Ablate(v, layers=1)):
        _, cache = any_model.run_with_cache(TOKENS)
    assert (cache[resid_pre(1)] @ unit).abs().max() < 1e-5
    assert (cache[resid_pre(3)] @ unit).abs().max() > 1e-3


@pytest.mark.skipif(TL3, reason="a HookedTransformer's resid_mid is on the skip connection")
def test_editing_resid_mid_misses_the_skip_connection(tiny):
    """Why ablation is not done there."""
    v = vector(0)
    unit = v.values / v.norm
    hooks = [wb.Custom(lambda x, hook: ablate(x, v.values), hook="blocks.1.hook_resid_mid")]
    with wb.steer(tiny, *hooks):
        _, cache = tiny.run_with_cache(TOKENS)
    _, clean = tiny.run_with_cache(TOKENS)
    mlp_alone = cache["blocks.1.hook_resid_post"] - cache["blocks.1.hook_mlp_out"]
    clean_mid = clean["blocks.1.hook_resid_mid"]
    torch.testing.assert_close(mlp_alone, clean_mid, rtol=0, atol=1e-4)
    assert (clean_mid @ unit).abs().max() > 0.05


def test_clamp_sets_the_component_and_only_it(tiny):
    v = vector(1)
    unit = v.values / v.norm
    _, clean = tiny.run_with_cache(TOKENS)
    with wb.steer(tiny, wb.Clamp(v, value=0.5)):
        _, cache = tiny.run_with_cache(TOKENS)
    at = cache[resid_pre(1)]
    torch.testing.assert_close(at @ unit, torch.full((2, 6), 0.5 * v.norm), rtol=0, atol=1e-5)
    rest, clean_rest = (x - (x @ unit)[..., None] * unit for x in (at, clean[resid_pre(1)]))
    torch.testing.assert_close(rest, clean_rest, rtol=0, atol=1e-5)


def test_operators_agree_with_their_formulas_in_float64():
    x, v = torch.randn(2, 3, 8, dtype=torch.float64), torch.randn(8, dtype=torch.float64)
    projection = torch.outer(v, v) / (v @ v)
    torch.testing.assert_close(add(x, v), x + v)
    torch.testing.assert_close(clamp(x, v, 0.3), x - x @ projection + 0.3 * v)
    torch.testing.assert_close(ablate(x, v), x @ (torch.eye(8, dtype=torch.float64) - projection))


def test_bfloat16_is_rounded_once():
    x = torch.randn(1, 4, 8, generator=torch.Generator().manual_seed(0)).bfloat16()
    v = torch.randn(8, generator=torch.Generator().manual_seed(1))
    assert torch.equal(add(x, v), (x.float() + v).bfloat16())


def test_rows_with_different_vectors_and_layers_equal_the_same_rows_alone(any_model):
    first, second = vector(1, seed=1), vector(3, seed=2)
    with torch.no_grad():
        with wb.steer(any_model, wb.Add([first, second])):
            together = any_model(TOKENS)
        for row, v in enumerate((first, second)):
            with wb.steer(any_model, wb.Add(v)):
                alone = any_model(TOKENS[row : row + 1])
            torch.testing.assert_close(together[row : row + 1], alone, rtol=0, atol=1e-5)


def test_a_row_without_a_vector_is_left_alone_and_scales_go_by_row(tiny):
    v = vector(1)
    with torch.no_grad():
        clean = tiny(TOKENS)
        with wb.steer(tiny, wb.Add([v, None])):
            half = tiny(TOKENS)
        with wb.steer(tiny, wb.Add(v, scale=[1.0, 0.0])):
            by_scale = tiny(TOKENS)
    torch.testing.assert_close(half[1], clean[1], rtol=0, atol=1e-6)
    torch.testing.assert_close(half, by_scale, rtol=0, atol=1e-5)
    assert (half[0] - clean[0]).abs().max() > 0.01


def test_interventions_compose_in_the_order_given_and_contexts_nest(tiny):
    v, w = vector(1, seed=1), vector(1, seed=2)
    with wb.steer(tiny, wb.Add(v), wb.Clamp(w, value=1.0)):
        _, listed = tiny.run_with_cache(TOKENS)
    with wb.steer(tiny, wb.Add(v)), wb.steer(tiny, wb.Clamp(w, value=1.0)):
        _, nested = tiny.run_with_cache(TOKENS)
    with wb.steer(tiny, wb.Clamp(w, value=1.0), wb.Add(v)):
        _, swapped = tiny.run_with_cache(TOKENS)
    assert torch.equal(listed[resid_pre(1)], nested[resid_pre(1)])
    assert not torch.allclose(listed[resid_pre(1)], swapped[resid_pre(1)])


def test_plain_callables_are_interventions(tiny):
    v = vector(2)
    seen = []

    def everywhere(resid, hook):
        seen.append(hook.layer())
        return resid + v.values if hook.layer() == 2 else None

    with torch.no_grad():
        with wb.steer(tiny, everywhere):
            by_function = tiny(TOKENS)
        with wb.steer(tiny, ("blocks.2.hook_resid_pre", lambda x, hook: x + v.values)):
            by_pair = tiny(TOKENS)
        with wb.steer(tiny, wb.Add(v)):
            expected = tiny(TOKENS)
    assert seen == [0, 1, 2, 3]
    assert torch.equal(by_function, expected)
    assert torch.equal(by_pair, expected)


@pytest.mark.parametrize("call", ["model", "run_with_hooks", "run_with_cache", "generate"])
def test_every_kind_of_call_is_steered(tiny, call):
    calls = {
        "model": lambda: tiny(TOKENS),
        "run_with_hooks": lambda: tiny.run_with_hooks(TOKENS, fwd_hooks=[]),
        "run_with_cache": lambda: tiny.run_with_cache(TOKENS)[0],
        "generate": lambda: tiny.generate(
            TOKENS, max_new_tokens=8, do_sample=False, stop_at_eos=False, verbose=False
        ),
    }
    with torch.no_grad():
        clean = calls[call]()
        with wb.steer(tiny, wb.Add(vector(1, norm=40.0))):
            steered = calls[call]()
            tiny.reset_hooks()  # a user's reset does not take the steering away
            again = calls[call]()
    assert not torch.equal(clean, steered)
    assert torch.equal(steered, again)


def test_a_pass_that_begins_at_a_later_layer_is_steered(any_model):
    """A `HookedTransformer` runs nothing below `start_at_layer`: neither embedding nor block 0."""
    _, clean = any_model.run_with_cache(TOKENS)
    with torch.no_grad(), wb.steer(any_model, wb.Add(vector(2), positions=wb.Positions.last(2))):
        whole = any_model(TOKENS)
        part = any_model(clean[resid_pre(1)], start_at_layer=1)
        shorter = any_model(clean[resid_pre(1)][:, :4], start_at_layer=1)
        whole_shorter = any_model(TOKENS[:, :4])
    torch.testing.assert_close(part, whole, rtol=0, atol=1e-5)
    torch.testing.assert_close(shorter, whole_shorter, rtol=0, atol=1e-5)


@pytest.mark.embedded
def test_the_embedded_model_equals_its_hugging_face_original_steered_and_not(embedded):
    hf = load_packaged(KNOWN["smollm2-135m-instruct"])[0]
    hf.set_attn_implementation("eager")
    prompt = wb.chat(embedded, "What is the capital of France?")
    tokens = torch.tensor([prompt_ids(embedded, prompt)])
    v = vector(10, width=576, norm=30.0)
    with torch.no_grad():
        torch.testing.assert_close(embedded(tokens), hf(tokens).logits, rtol=0, atol=1e-3)
        with wb.steer(embedded, wb.Add(v)):
            steered = embedded(tokens)
        hf_block(hf, 10).register_forward_pre_hook(adding(v.values), with_kwargs=True)
        torch.testing.assert_close(steered, hf(tokens).logits, rtol=0, atol=1e-3)


def test_nothing_is_left_behind_whatever_happens(tiny):
    tiny(TOKENS)  # TransformerLens wires hooks of its own in the first pass
    before = count_hooks(tiny)
    v = vector(1)

    def fails(resid, hook):
        raise RuntimeError("on purpose")

    with pytest.raises(RuntimeError, match="on purpose"), wb.steer(tiny, wb.Add(v), fails):
        tiny(TOKENS)
    with pytest.raises(KeyboardInterrupt), wb.steer(tiny, wb.Add(v)):
        raise KeyboardInterrupt
    assert count_hooks(tiny) == before


def test_errors_say_what_was_wrong(tiny, tokenizers):
    v = vector(1)
    cases = [
        (lambda: wb.Add(vector(1, width=31)), "31 wide, but the model's residual stream is 32"),
        (lambda: wb.Add(vector(4)), "acts on layer 4"),
        (lambda: wb.Clamp(wb.SteeringVector(torch.zeros(32), 1)), "zero vector has no direction"),
        (lambda: wb.Add(v, scale=float("nan")), "finite number"),
        (lambda: wb.Add([v, v], scale=[1.0]), "1 scales for 2 rows"),
        (lambda: wb.Add([v, v, v]), "made for 3 rows, the batch has 2"),
        (lambda: [wb.Add([v, v]), wb.Add(v, scale=[1.0] * 3)], "different numbers of rows"),
    ]
    for make, message in cases:
        with pytest.raises(ValueError, match=message), wb.steer(tiny, make()):
            tiny(TOKENS)
    with pytest.raises(IndexError, match="0 to 3"), wb.steer(tiny, wb.Ablate(v, layers=9)):
        tiny(TOKENS)
    with pytest.raises(TypeError, match="use Add"):
        as_interventions([v])
    made_here = wb.SteeringVector(v.values, 1, Provenance.of("test", tiny))
    other = boot("qwen3", tokenizers)
    with pytest.raises(ValueError, match="rebind"), wb.steer(other, wb.Add(made_here)):
        other(TOKENS)
    with wb.steer(other, wb.Add(made_here.rebind(other))):
        other(TOKENS)
