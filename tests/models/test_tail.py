"""Replayed blocks on shared rows equal the full pass over separate ones."""

from __future__ import annotations

import warnings

import pytest
import torch

from tests.conftest import TL3
from workbench.models import tail as tail_module
from workbench.models.hooked import logits, resid_pre
from workbench.models.plain import plain_of
from workbench.models.tail import Recording
from workbench.steering.scoring import CompletionRows

pytestmark = pytest.mark.tl3

PROMPTS = ["w1 w2 w3"] * 3 + ["w4 w5 w6 w7 w8 w9 w20 w21 w22 w23 w24"] * 2
COMPLETIONS = [" w10 w11", " w12 w13 w14 w15", " w16", " w30 w31 w32", " w33"]
GROUPS = [(0, 1, 2), (3, 4)]


def recorded(model, first=1, groups=GROUPS, last=None):
    rows = CompletionRows.of(model, PROMPTS, COMPLETIONS)
    recording = Recording.of(
        model,
        rows.batch.tokens,
        rows.batch.attention_mask,
        rows.prompt_lengths,
        groups,
        first,
        last,
    )
    return rows, recording


def full(model, rows, layer, vector):
    """Logits of every separate row, by hooks on the whole model."""
    with (
        torch.no_grad(),
        model.hooks(fwd_hooks=[(resid_pre(layer), lambda resid, hook: resid + vector)]),
    ):
        return logits(model, rows.batch.tokens, rows.batch.attention_mask)


def compare(model, rows, recording, layer, order=None):
    """Every real token's logits, replayed with an edit, against the full pass."""
    vector = torch.randn(model.cfg.d_model, generator=torch.Generator().manual_seed(0))
    branches = recording.branches
    order = list(range(len(branches.groups))) if order is None else order
    passed = recording.tail(layer, order).run({layer: lambda resid: resid + vector})
    expected = full(model, rows, layer, vector)
    for place, shared in enumerate(order):
        real = (branches.branch[shared] >= -1).nonzero().squeeze(-1)
        found = passed.logits_at(torch.full_like(real, place), real)
        wanted = expected[branches.row[shared][real], branches.column[shared][real]]
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)


def test_shared_rows_equal_separate_ones(any_model):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        rows, recording = recorded(any_model)
    assert recording.replayed
    assert recording.shared is not TL3  # a HookedTransformer counts positions by itself
    for layer in (1, 3):
        compare(any_model, rows, recording, layer)
    if recording.shared:
        compare(any_model, rows, recording, 2, order=[1, 0, 1, 1])


@pytest.mark.skipif(TL3, reason="a HookedTransformer has no plain model")
@pytest.mark.parametrize("last", [1, 3])
def test_a_model_seen_replayed_is_run_up_to_the_last_layer_only(any_model, last):
    rows, first = recorded(any_model)
    run = []
    blocks = plain_of(any_model).blocks
    handles = [
        module.register_forward_pre_hook(lambda module, args, i=i: run.append(i))
        for i, block in enumerate(blocks)
        for module in list(block.children())[:1]  # what a block does first
    ]
    _, again = recorded(any_model, last=last)
    for handle in handles:
        handle.remove()
    assert run == list(range(last))
    assert all("forward" not in vars(block) for block in blocks)
    for layer in range(1, last + 1):
        one, other = (each.tail(layer, [0, 1]).run({}) for each in (first, again))
        assert torch.equal(one.stream, other.stream)
        compare(any_model, rows, again, layer)


def test_rows_that_join_later_equal_those_of_their_own_tail(any_model):
    """Each is edited at the layer where it joins, and watched from there on."""
    _, recording = recorded(any_model)
    vector = torch.randn(any_model.cfg.d_model, generator=torch.Generator().manual_seed(0))
    layers, order = [1, 1, 2, 3], [0, 1, 1, 0]

    def edit(layer):
        mine = torch.tensor([row for row, first in enumerate(layers) if first == layer])

        def add(resid):
            assert len(resid) == sum(first <= layer for first in layers)
            return resid.index_copy(0, mine, resid[mine] + vector)

        return add

    passed = recording.tail(layers, order).run({layer: edit(layer) for layer in (1, 2, 3)}, (3,))
    for place, (layer, row) in enumerate(zip(layers, order, strict=True)):
        alone = recording.tail(layer, [row]).run({layer: lambda resid: resid + vector}, (3,))
        torch.testing.assert_close(passed.stream[place], alone.stream[0], rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(
            passed.watched[3][place], alone.watched[3][0], rtol=1e-4, atol=1e-4
        )


def test_separate_rows_equal_the_full_pass_bit_for_bit(any_model):
    """Where the batch has the same shape; by the bridge's own blocks, as the full pass runs."""
    handle = any_model.blocks[0].register_forward_hook(lambda module, args, out: None)
    rows, recording = recorded(any_model, groups=[(row,) for row in range(5)])
    handle.remove()
    assert recording.replayed
    vector = torch.randn(any_model.cfg.d_model, generator=torch.Generator().manual_seed(0))
    order = list(range(5))
    passed = recording.tail(2, order).run({2: lambda resid: resid + vector})
    expected = full(any_model, rows, 2, vector)
    for row in order:
        real = (rows.batch.attention_mask[row] == 1).nonzero().squeeze(-1)
        stream = any_model.ln_final(passed.stream)
        found = any_model.unembed(stream)[row, real]
        if any_model.cfg.output_logits_soft_cap and any_model.cfg.output_logits_soft_cap > 0:
            continue
        assert torch.equal(found, expected[row, real])


def test_gradients_equal_those_of_the_full_pass(tiny):
    rows, recording = recorded(tiny)
    column = rows.prompt_lengths - 1
    vector = torch.randn(32, generator=torch.Generator().manual_seed(0)).requires_grad_()

    def total(read):
        return (read.log_softmax(-1) ** 2).sum()

    def edit(resid):
        return resid + vector

    with tiny.hooks(fwd_hooks=[(resid_pre(2), lambda resid, hook: edit(resid))]):
        read = logits(tiny, rows.batch.tokens, rows.batch.attention_mask)
    (expected,) = torch.autograd.grad(total(read[torch.arange(5), column]), vector)
    order = [0, 0, 0, 1, 1] if recording.shared else list(range(5))
    passed = recording.tail(2, order).run({2: edit})
    (found,) = torch.autograd.grad(total(passed.logits_at(torch.arange(5), column)), vector)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_a_reader_equals_autograd(tiny):
    _rows, recording = recorded(tiny)
    passed = recording.tail(1, [0]).run({})
    stream = passed.stream[0].detach().requires_grad_()
    weights = torch.linspace(-1, 1, len(stream))

    def reader(read, which):
        return read.logsumexp(-1), read.softmax(-1)

    (found,) = torch.autograd.grad((weights * recording.head.read(stream, reader)).sum(), stream)
    (expected,) = torch.autograd.grad(
        (weights * recording.head(stream).logsumexp(-1)).sum(), stream
    )
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_watched_streams_are_those_of_the_model(any_model):
    rows, recording = recorded(any_model)
    layers = (2, any_model.cfg.n_layers)
    passed = recording.tail(1, [0]).run({}, watch=layers)
    _, cache = any_model.run_with_cache(rows.batch.tokens, attention_mask=rows.batch.attention_mask)
    real = recording.branches.branch[0] >= -1
    at = (recording.branches.row[0][real], recording.branches.column[0][real])
    for layer, name in zip(
        layers, ("blocks.2.hook_resid_pre", "blocks.3.hook_resid_post"), strict=True
    ):
        torch.testing.assert_close(
            passed.watched[layer][0][real], cache[name][at], rtol=1e-4, atol=1e-4
        )


def test_a_model_that_cannot_be_replayed_is_run_whole(tiny, monkeypatch):
    def refuse(*args, **kwargs):
        raise RuntimeError("no such thing")

    monkeypatch.setattr(tail_module, "record", refuse)
    with pytest.warns(UserWarning, match="every step runs the whole model"):
        rows, recording = recorded(tiny)
    assert not recording.replayed
    assert not recording.shared
    compare(tiny, rows, recording, 2)
    compare(tiny, rows, recording, 2, order=[4, 0, 2])


def test_edits_of_somebody_else_are_kept(tiny):
    """Inside hooks of the user's own, what is recorded and replayed is the hooked model."""
    with tiny.hooks(fwd_hooks=[(resid_pre(3), lambda resid, hook: 2 * resid)]):
        rows, recording = recorded(tiny)
        compare(tiny, rows, recording, 1)
