"""The benchmarks compare with the published procedure, and count operations by hand."""

from __future__ import annotations

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

import workbench as wb
from benchmarks.operations import Shape, matrix_rate, needed
from benchmarks.published import Completion, adding, completion_loss, loss_of, published
from benchmarks.rows import Row, markdown
from benchmarks.setting import completions_of
from tests.conftest import TL3, boot, tiny_hf

EXAMPLE = wb.Example("w1 w2 w3", promote=[" w10 w11"], suppress=[" w14 w15 w16"])
START = torch.randn(32, generator=torch.Generator().manual_seed(0))
LAYER = 1


@pytest.mark.skipif(TL3, reason="the benchmarks run on TransformerLens 4")
def test_the_plain_procedure_gives_the_losses_of_optimize(tokenizers):
    model = boot("llama", tokenizers)
    hf_model = tiny_hf("llama").requires_grad_(False)
    completions = completions_of(model, EXAMPLE)
    assert [completion.promoted for completion in completions] == [True, False]
    plain = published(hf_model, completions, LAYER, START, steps=8)
    run = wb.optimize(model, EXAMPLE, LAYER, start=START, steps=8, progress=False)
    assert run.losses == pytest.approx(plain.losses, rel=1e-4)
    last = loss_of(hf_model, completions, LAYER, plain.vector)
    assert run.last_loss == pytest.approx(last, rel=1e-4)
    assert not plain.reached


def test_it_stops_at_its_target_and_leaves_the_model_as_it_was():
    hf_model = tiny_hf("llama").requires_grad_(False)
    completions = [Completion([7, 8, 9], [17, 18], promoted=True)]
    whole = published(hf_model, completions, LAYER, START, steps=5)
    target = whole.losses[3]
    found = published(hf_model, completions, LAYER, START, steps=5, target_loss=target)
    assert found.reached
    assert found.losses == whole.losses[:4]
    assert loss_of(hf_model, completions, LAYER, found.vector) == pytest.approx(target)
    assert not any(module._forward_pre_hooks for module in hf_model.modules())
    assert all(parameter.grad is None for parameter in hf_model.parameters())


def test_operations_are_those_of_a_counted_pass():
    hf_model = tiny_hf("llama").requires_grad_(False)
    completion = Completion([7, 8, 9], [17, 18], promoted=True)
    vector = START.clone().requires_grad_()
    with adding(hf_model, LAYER, vector), FlopCounterMode(display=False) as counter:
        completion_loss(hf_model, completion, 0.7).backward()
    counts = counter.get_flop_counts()
    rotary = counts.get("LlamaForCausalLM.model.rotary_emb", {})
    found = counter.get_total_flops() - sum(rotary.values())
    shape, tokens = Shape.of(hf_model.config), 5
    sizes = {"tokens": tokens, "pairs": tokens**2, "read": tokens}  # it masks, and reads them all
    assert found == shape.forward(blocks=4, **sizes) + shape.backward(blocks=4 - LAYER, **sizes)


def test_needed_operations_by_hand():
    config = tiny_hf("llama").config  # 4 blocks, 32 wide, 64 hidden, 4 heads of 8, 2 shared, 97
    weights = 32 * 32 + 2 * 32 * 16 + 32 * 32 + 3 * 32 * 64
    tokens, read = 3 + 2 + 1, 3
    pairs = (1 + 2 + 3) + (4 + 5) + 4  # the prompt's, and each completion's with the prompt
    attention = 2 * pairs * 32
    forward = 2 * (3 * (tokens * weights + attention) + read * 32 * 97)
    backward = 2 * (3 * (tokens * weights + 2 * attention) + read * 32 * 97)
    assert needed(config, layer=1, prompt=3, completions=(2, 1)) == forward + backward


def test_the_rate_is_a_rate():
    config = tiny_hf("llama").config
    assert matrix_rate(config, 3, rows=6, read=3, dtype=torch.float32, seconds=0.01) > 0


def test_a_bound_is_kept_or_not():
    rows = [
        Row("speed", "a", 4.6, "x", 4.5),
        Row("gap", "b|c", 0.02, "%", 0.01, at_most=True),
        Row("skipped", "d", None, how="no such instructions"),
    ]
    assert [row.met for row in rows] == [True, False, None]
    assert markdown(rows).splitlines()[2:] == [
        "| speed | a | 4.6x | ≥ 4.5x | yes |  |",
        "| gap | b\\|c | 2% | ≤ 1% | **no** |  |",
        "| skipped | d | not measured |  |  | no such instructions |",
    ]
