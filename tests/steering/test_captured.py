"""What is captured is what passes, before or behind steering; nothing is left behind."""

import pytest
import torch

import workbench as wb
from tests.conftest import all_modules
from workbench.models.hooked import logits
from workbench.models.text import pad, prompt_ids
from workbench.steering.captured import captured

HOOK = "blocks.1.hook_resid_pre"


def test_before_and_behind_steering(any_model):
    rows = [prompt_ids(any_model, text) for text in ("w1 w2 w3 ", "w4 ")]
    batch = pad(any_model, rows, side="right")
    vector = wb.SteeringVector(torch.arange(32.0), 1)
    hooks = {id(m): len(m._forward_hooks) for m in all_modules(any_model)}
    columns = batch.lengths - 1
    with (
        torch.no_grad(),
        captured(any_model, [HOOK]) as whole,
        captured(any_model, [HOOK], columns) as before,
        wb.steer(any_model, wb.Add(vector)),
        captured(any_model, [HOOK], columns) as behind,
    ):
        logits(any_model, batch.tokens, batch.attention_mask)
    assert whole[HOOK].shape == (2, len(rows[0]), 32)
    for i, row in enumerate(rows):
        assert torch.equal(before[HOOK][i], whole[HOOK][i, len(row) - 1])
    assert behind[HOOK] == pytest.approx(before[HOOK] + vector.values)
    assert hooks == {id(m): len(m._forward_hooks) for m in all_modules(any_model)}


def test_an_unknown_hook_is_named(tiny):
    unknown = captured(tiny, ["blocks.1.nothing"])
    with pytest.raises(KeyError, match=r"no hook 'blocks\.1\.nothing'"), unknown:
        pass
