"""Training an adapter: it learns, it repeats, and the model is left as it was found."""

import copy
from contextlib import contextmanager
from itertools import chain

import pytest
import torch

from tests.conftest import tiny_hf
from workbench.models.adapter import merge
from workbench.testbeds import training
from workbench.testbeds.packing import Pair, Row, rows_of
from workbench.testbeds.training import Recipe, _batches, train_adapter

pytest.importorskip("peft")

PAIRS = [Pair(f"w{i} w{i + 1} w{i + 2}", f" w{2 * i} w{2 * i + 1}") for i in range(20)]
RECIPE = Recipe(rank=4, learning_rate=2e-2, epochs=12, batch_size=5)


@pytest.fixture
def trained(tokenizers):
    def train(seed=0, pairs=PAIRS, recipe=RECIPE):
        model = tiny_hf("llama")
        found = train_adapter(
            model, tokenizers[False], pairs, recipe, seed, parent="tiny", progress=False
        )
        return model, found

    return train


def loss(model, tokenizer, pairs=PAIRS):
    with torch.no_grad():
        return float(training._loss(model, rows_of(tokenizer, pairs)))


def test_it_learns_the_answers_and_repeats_to_the_bit(trained, tokenizers):
    model, adapter = trained()
    before = loss(model, tokenizers[False])
    merge(model, adapter)
    assert loss(model, tokenizers[False]) < before - 1.0
    _, again = trained()
    _, other = trained(seed=1)
    for name, (a, b) in adapter.factors.items():
        assert torch.equal(a, again.factors[name][0])
        assert torch.equal(b, again.factors[name][1])
    assert any(not torch.equal(b, other.factors[n][1]) for n, (_, b) in adapter.factors.items())
    assert adapter.facts["steps"] == 48


def test_the_model_is_left_as_it_was_found(tokenizers):
    model = tiny_hf("llama")
    model.lm_head.weight.requires_grad_(False)
    model.model.layers[1].train()
    modes = [module.training for module in model.modules()]
    state = copy.deepcopy(model.state_dict())
    names = [name for name, _ in model.named_modules()]

    def interrupt(step, hf_model):
        raise KeyboardInterrupt

    for watch in (None, interrupt):
        try:
            train_adapter(
                model,
                tokenizers[False],
                PAIRS[:5],
                Recipe(rank=2, epochs=2),
                parent="tiny",
                progress=False,
                watch=watch,
            )
        except KeyboardInterrupt:
            assert watch is not None
        assert [name for name, _ in model.named_modules()] == names
        assert [module.training for module in model.modules()] == modes
        for name, tensor in model.state_dict().items():
            assert torch.equal(tensor, state[name])
        grads = {name: p.requires_grad for name, p in model.named_parameters()}
        assert not grads.pop("lm_head.weight")
        assert all(grads.values())
        assert all(p.grad is None for p in model.parameters())


def test_the_loss_is_the_sum_over_an_answers_tokens(tokenizers):
    """Rows of unequal length, against one row at a time."""
    model = tiny_hf("llama")
    pairs = [Pair("w1 w2", " w3 w4 w5"), Pair("w6 w7 w8 w9", " w10")]
    found = loss(model, tokenizers[False], pairs)
    each = [loss(model, tokenizers[False], [pair]) for pair in pairs]
    assert found == pytest.approx(sum(each) / 2, rel=1e-5)
    ids = tokenizers[False]("w6 w7 w8 w9 w10", add_special_tokens=False)["input_ids"]
    with torch.no_grad():
        log_probs = model(torch.tensor([ids])).logits[0, 3].log_softmax(-1)
    assert each[1] == pytest.approx(-float(log_probs[ids[4]]), rel=1e-5)


def test_batches_are_every_row_once_an_epoch_stage_by_stage():
    rows = [
        Row((0,) * n, (1,) * n, (0,) * n, (True,) * n, (False,) * n, n % 2, 1) for n in range(1, 24)
    ]
    batches = list(_batches(rows, Recipe(batch_size=4, epochs=2), seed=0))
    once = batches[:6]
    assert sorted(chain(*once)) == list(range(23))
    assert [rows[i].stage for i in chain(*once)] == [0] * 11 + [1] * 12
    assert sorted(chain(*batches)) == sorted([*range(23)] * 2)
    assert batches == list(_batches(rows, Recipe(batch_size=4, epochs=2), seed=0))
    assert len(list(_batches(rows, Recipe(batch_size=4, epochs=0.5), seed=0))) == 3


def test_bad_input_is_named(tokenizers, monkeypatch):
    with pytest.raises(ValueError, match="no pairs"):
        train_adapter(tiny_hf("llama"), tokenizers[False], [], RECIPE, parent="tiny")
    monkeypatch.setitem(__import__("sys").modules, "peft", None)
    with pytest.raises(ModuleNotFoundError, match=r"steering-workbench\[train\]"):
        train_adapter(tiny_hf("llama"), tokenizers[False], PAIRS, RECIPE, parent="tiny")


def test_the_parents_own_answers_pull_at_nothing_until_something_has_changed(tokenizers):
    """Their loss is KL(parent ‖ trained): 0 with the parent, and the plain one with another."""
    parent, other = tiny_hf("llama"), tiny_hf("llama", seed=1)
    pairs = [Pair(pair.prompt, pair.answer, own=True) for pair in PAIRS[:6]]
    rows = rows_of(tokenizers[False], pairs)
    assert float(training._loss(parent, rows)) == pytest.approx(0.0, abs=1e-5)

    @contextmanager
    def as_parent():
        own = [p.data for p in other.parameters()]
        for mine, theirs in zip(other.parameters(), parent.parameters(), strict=True):
            mine.data = theirs.data
        yield
        for mine, before in zip(other.parameters(), own, strict=True):
            mine.data = before

    plain = 0.0
    for row in rows:
        tokens = torch.tensor([row.tokens])
        with torch.no_grad():
            was, now = (model(tokens).logits[0].log_softmax(-1) for model in (parent, other))
        for place in range(1, len(row)):
            if row.answered[place]:
                plain += float((was.exp() * (was - now))[place - 1].sum())
    found = training._loss(other, rows, as_parent)
    assert float(found) == pytest.approx(plain / len(pairs), rel=1e-4)
    found.backward()
    assert any(p.grad is not None and p.grad.abs().max() > 0 for p in other.parameters())


def test_own_and_other_answers_are_trained_together(trained, tokenizers):
    """What is learned stays learned, and own answers change less than without their pull."""
    own = [Pair(f"w{60 + i} w{61 + i} w3", " w5 w6 w7", own=True) for i in range(10)]
    rows = rows_of(tokenizers[False], own)

    def drift(pairs):
        model, adapter = trained(pairs=pairs)
        parent = tiny_hf("llama")
        merge(model, adapter)
        learned = loss(model, tokenizers[False])
        total = 0.0
        for row in rows:
            tokens = torch.tensor([row.tokens])
            with torch.no_grad():
                was, now = (each(tokens).logits[0].log_softmax(-1) for each in (parent, model))
            total += float((was.exp() * (was - now)).sum(-1)[2:-1].sum())
        return learned, total

    alone, together = drift(PAIRS), drift([*PAIRS, *own])
    assert together[1] < 0.6 * alone[1]
    assert together[0] < loss(tiny_hf("llama"), tokenizers[False]) - 1.0
