from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace

import pytest
import torch

from tests.conftest import tiny_hf
from workbench.analysis.vector_lens import through_final_norm, vector_lens, visible_token

transformer_lens = pytest.importorskip("transformer_lens")


@dataclass
class Vector:
    values: torch.Tensor
    layer: int | tuple[int, ...] = 2
    label: str = "a vector"


def booted(kind: str, tokenizers):
    """A tiny Hugging Face model with norm weights that differ, and the bridge around it."""
    from transformer_lens.model_bridge import TransformerBridge

    hf = tiny_hf(kind)
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for name, parameter in hf.named_parameters():
            if parameter.ndim == 1 and name.endswith("weight"):
                parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
    hf.config.architectures = [type(hf).__name__]
    norm, head = final_weights(hf)
    norm, head = norm.detach().clone(), head.detach().clone()
    bridge = TransformerBridge.boot_transformers("x", hf_model=hf, tokenizer=tokenizers[True])
    return bridge, norm, head


def final_weights(hf) -> tuple[torch.Tensor, torch.Tensor]:
    """The final norm's effective scale and the unembedding, from the Hugging Face model."""
    head = hf.get_output_embeddings().weight
    body = hf.base_model
    if hasattr(body, "ln_f"):
        return body.ln_f.weight, head
    if hasattr(body, "final_layer_norm"):
        return body.final_layer_norm.weight, head
    offset = 1.0 if "Gemma" in type(hf).__name__ else 0.0
    return body.norm.weight + offset, head


@pytest.mark.parametrize("folded", [False, True], ids=["raw", "folded"])
@pytest.mark.parametrize("kind", ["llama", "gpt2", "gemma3", "gpt_neox"])
def test_equals_the_direct_computation(kind: str, folded: bool, tokenizers) -> None:
    model, norm, head = booted(kind, tokenizers)
    if folded:
        model.enable_compatibility_mode()
    v = torch.randn(32, generator=torch.Generator().manual_seed(1))
    centred = v if kind in ("llama", "gemma3") else v - v.mean()
    expected = head @ (norm * centred)
    if folded:
        # Folding centres the unembedding over the vocabulary: a shift that softmax ignores.
        expected = expected - (expected.mean() - vector_lens(model, Vector(v)).mean)
    z = (expected - expected.mean()) / expected.std(correction=0)
    lens = vector_lens(model, Vector(v), k=7)
    order = expected.argsort(descending=True)
    assert [token.token_id for token in lens.promoted] == order[:7].tolist()
    assert [token.token_id for token in lens.suppressed] == order.flip(0)[:7].tolist()
    for token in (*lens.promoted, *lens.suppressed):
        assert token.logit == pytest.approx(float(expected[token.token_id]), rel=1e-4, abs=1e-5)
        assert token.z == pytest.approx(float(z[token.token_id]), rel=1e-4, abs=1e-4)


@pytest.mark.parametrize("kind", ["llama", "gpt2", "gemma3", "gpt_neox"])
def test_linear_part_is_what_the_norm_does(kind: str, tokenizers) -> None:
    model, _, _ = booted(kind, tokenizers)
    x = torch.randn(1, 32, generator=torch.Generator().manual_seed(2)) * 100
    scale = (x if kind in ("llama", "gemma3") else x - x.mean()).pow(2).mean().sqrt()
    with torch.no_grad():
        bias = model.ln_final(x) / 2 + model.ln_final(-x) / 2
        expected = model.ln_final(x) - bias
    torch.testing.assert_close(
        through_final_norm(model.ln_final, x) / scale, expected, rtol=1e-4, atol=1e-5
    )


def test_norm_without_weight_scales_by_one() -> None:
    x = torch.randn(2, 8, generator=torch.Generator().manual_seed(3))
    bare = SimpleNamespace(uses_rms_norm=True, weight=None)
    assert through_final_norm(bare, x).equal(x)
    assert through_final_norm(None, x).equal(x)
    assert through_final_norm(torch.nn.Identity(), x).equal(x)
    old = SimpleNamespace(uses_rms_norm=True, w=torch.full((8,), 2.0))  # HookedTransformer's name
    assert through_final_norm(old, x).equal(2 * x)


class Words:
    """A tokenizer of n numbered words."""

    def __init__(self, n: int) -> None:
        self.n = n

    def __len__(self) -> int:
        return self.n

    def convert_ids_to_tokens(self, i: int) -> str:
        return f"w{i}"

    def decode(self, ids: list[int]) -> str:
        return f"w{ids[0]}"


def model_of(W_U: torch.Tensor, n: int) -> SimpleNamespace:
    return SimpleNamespace(W_U=W_U, ln_final=None, tokenizer=Words(n))


def test_finds_a_planted_token_and_beats_chance() -> None:
    W_U = torch.randn(32, 500, generator=torch.Generator().manual_seed(4))
    lens = vector_lens(model_of(W_U, 500), Vector(5 * W_U[:, 123]), k=3)
    assert lens.promoted[0].token == "w123"
    assert lens.promoted[0].z > lens.random_high
    assert lens.random_low < lens.random_max_z < lens.random_high
    opposite = vector_lens(model_of(W_U, 500), Vector(-5 * W_U[:, 123]), k=3)
    assert opposite.suppressed[0].token == "w123"


def test_random_reference_is_the_expected_maximum() -> None:
    # For 2,000 nearly independent logits the largest |z| is that of 2,000 normal draws.
    W_U = torch.randn(400, 2000, generator=torch.Generator().manual_seed(6))
    v = Vector(torch.randn(400, generator=torch.Generator().manual_seed(7)))
    lens = vector_lens(model_of(W_U, 2000), v, n_random=200)
    draws = torch.randn(2000, 2000, generator=torch.Generator().manual_seed(8)).abs().amax(1)
    assert lens.random_max_z == pytest.approx(float(draws.mean()), rel=0.03)
    assert lens.random_std == pytest.approx(lens.norm, rel=0.1)  # unit-variance unembedding
    assert max(t.z for t in lens.promoted) < lens.random_high * 1.2
    state = torch.get_rng_state()
    assert vector_lens(model_of(W_U, 2000), v, n_random=200) == lens
    assert torch.get_rng_state().equal(state)


def test_padding_of_the_matrix_is_left_out() -> None:
    W_U = torch.randn(16, 40, generator=torch.Generator().manual_seed(9))
    W_U[:, 30:] = 1000.0
    lens = vector_lens(model_of(W_U, 30), Vector(torch.ones(16)))
    assert lens.n_vocab == 30
    assert all(token.token_id < 30 for token in lens.promoted)


def test_half_precision_unembedding() -> None:
    W_U = torch.randn(16, 40, generator=torch.Generator().manual_seed(9)).bfloat16()
    v = Vector(torch.randn(16, generator=torch.Generator().manual_seed(10)))
    lens = vector_lens(model_of(W_U, 40), v, k=1)
    assert lens.promoted[0].logit == pytest.approx(float((v.values @ W_U.float()).max()), rel=1e-5)


def test_frame() -> None:
    lens = vector_lens(model_of(torch.randn(8, 20), 20), Vector(torch.ones(8)), k=2)
    frame = lens.to_frame()
    assert list(frame.columns) == ["side", "rank", "token", "token_id", "logit", "z"]
    assert frame["side"].tolist() == ["promoted"] * 2 + ["suppressed"] * 2
    assert frame["rank"].tolist() == [1, 2, 1, 2]


def test_bad_input_is_refused() -> None:
    model = model_of(torch.ones(8, 20), 20)
    with pytest.raises(ValueError, match="8 wide"):
        vector_lens(model, Vector(torch.ones(9)))
    with pytest.raises(ValueError, match="no direction"):
        vector_lens(model, Vector(torch.zeros(8)))
    with pytest.raises(ValueError, match="between 1 and"):
        vector_lens(model, Vector(torch.ones(8)), k=21)


@pytest.mark.parametrize(
    ("piece", "text", "shown"),
    [
        ("Ġsorry", " sorry", "␣sorry"),
        ("▁sorry", "sorry", "␣sorry"),
        ("Ċ", "\n", "\\n"),
        ("ĊĊ", "\n\n", "\\n\\n"),
        ("ĠĠ", "  ", "␣␣"),
        ("a\u200b", "a\u200b", "a\\u200b"),
        ("âĢ", "\ufffd", "âĢ"),
        ("a b", "a b ", "a b␣"),
        (None, "", "⟨7⟩"),
        ("<b>", "<b>", "<b>"),
    ],
)
def test_tokens_are_visible(piece: str | None, text: str, shown: str) -> None:
    tokenizer = SimpleNamespace(
        convert_ids_to_tokens=lambda _: piece, decode=lambda _: text, __len__=lambda: 1
    )
    assert visible_token(tokenizer, 7) == shown
