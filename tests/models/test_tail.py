"""A replayed tail gives what the whole model gives, hooks included."""

import pytest
import torch

import workbench as wb
from workbench.models import hooked
from workbench.models import tail as tail_module
from workbench.models.tail import Tail
from workbench.models.text import pad
from workbench.steering.hooks import apply_edits
from workbench.steering.positions import TokenWindow

pytestmark = pytest.mark.tl3

ROWS = [[1, 20, 30, 40, 50, 60, 70, 80, 12, 13, 14, 15], [1, 21, 31, 41, 51]]
ROW, COLUMN = torch.tensor([0, 0, 1]), torch.tensor([5, 11, 4])


def record(model, first):
    batch = pad(model, ROWS, side="right")
    return Tail.record(model, batch.tokens, batch.attention_mask, first, ROW, COLUMN), batch


@pytest.mark.parametrize("first", [0, 1, 3])
def test_a_replay_equals_the_full_pass_bit_for_bit(any_model, first, recwarn):
    tail, batch = record(any_model, first)
    assert tail.calls is not None, [str(w.message) for w in recwarn]
    with torch.no_grad():
        full = hooked.logits(any_model, batch.tokens, batch.attention_mask)[ROW, COLUMN]
        assert torch.equal(tail.read(), tail.read())
        torch.testing.assert_close(tail.read(), full, rtol=0, atol=1e-6)


def test_a_steered_replay_and_its_gradient_equal_the_full_pass(any_model):
    tail, batch = record(any_model, 1)
    lengths = torch.tensor([4, 3])
    window = TokenWindow(
        index=torch.arange(12).expand(2, -1).masked_fill(batch.attention_mask == 0, -1),
        prompt_lengths=lengths,
        lengths=batch.lengths,
        tokens=batch.tokens,
    )
    values = torch.randn(32, generator=torch.Generator().manual_seed(0)).requires_grad_()
    edit = wb.steering.Edit(
        "blocks.2.hook_resid_pre", lambda x, hook: x + values, wb.Positions.last(2)
    )
    with hooked.undisturbed(any_model):
        with apply_edits(any_model, [edit], window=window):
            replayed = tail.read()
        with apply_edits(any_model, [edit], lengths):
            full = hooked.logits(any_model, batch.tokens, batch.attention_mask)[ROW, COLUMN]
    torch.testing.assert_close(replayed, full, rtol=0, atol=1e-5)
    gradients = [torch.autograd.grad(x.square().sum(), values)[0] for x in (replayed, full)]
    torch.testing.assert_close(*gradients, rtol=1e-4, atol=1e-4)


def test_a_model_whose_logits_are_more_than_an_unembedding_falls_back_with_a_warning(
    tiny, monkeypatch
):
    unembed = tail_module.unembed
    monkeypatch.setattr(tail_module, "unembed", lambda model, resid: 2 * unembed(model, resid))
    with pytest.warns(UserWarning, match="cannot be replayed"):
        tail, batch = record(tiny, 1)
    assert tail.calls is None
    with torch.no_grad():
        full = hooked.logits(tiny, batch.tokens, batch.attention_mask)[ROW, COLUMN]
        torch.testing.assert_close(tail.read(), full, rtol=0, atol=1e-6)
