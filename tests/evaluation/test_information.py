"""Information: -log B by the plain formula, cut, by token, character and byte."""

import numpy as np
import pytest
import torch

import workbench as wb
from workbench.evaluation.information import complexity, context_likelihood, information

TEXTS = ["w1 w2 w3 w4", "w5"]
SAMPLES = ["w7 w8", "w9"]


def test_it_is_the_log_prob_after_the_context(tiny):
    found = information(tiny, TEXTS, SAMPLES)
    head = "w7 w8\n\nw9\n\n"
    for text, nats in zip(TEXTS, found.nats, strict=True):
        assert nats == pytest.approx(-float(wb.log_prob(tiny, head, text).total[0]), rel=1e-5)
    assert found.tokens == (4, 1)
    assert found.characters == found.bytes == tuple(len(text) for text in found.texts)
    assert found.rate()[0] == pytest.approx(found.nats[0] / 4)
    assert found.rate("byte", bits=True)[0] == pytest.approx(
        found.nats[0] / found.bytes[0] / np.log(2)
    )
    assert list(found.to_frame()["bits"]) == pytest.approx([n / np.log(2) for n in found.nats])


def test_a_context_that_is_read_once_changes_nothing(any_model):
    """The plain way: each text with the whole context before it, through the hooked model."""
    samples = [f"w{i} w{i + 1} w{i + 2}" for i in range(12)]
    texts = [" ".join(f"w{i + k}" for k in range(1 + i % 7)) for i in range(20)]
    found = information(any_model, texts, samples)
    with_hooks = any_model.hook_dict["blocks.0.hook_resid_pre"]
    handle = with_hooks.register_forward_hook(lambda module, args, out: None)
    try:
        plain = information(any_model, texts, samples)
    finally:
        handle.remove()
    assert found.nats == pytest.approx(plain.nats, rel=1e-4)


def test_texts_are_cut(tiny):
    whole, part = information(tiny, TEXTS), information(tiny, TEXTS, cut=2)
    assert part.tokens == (2, 1)
    assert part.nats[0] < whole.nats[0]
    assert part.nats[1] == pytest.approx(whole.nats[1])


def test_several_contexts_and_the_information_of_one(tiny):
    found = context_likelihood(tiny, TEXTS, {"a": SAMPLES, "none": ()})
    assert found["a"].nats == information(tiny, TEXTS, SAMPLES).nats
    assert found["none"].nats == information(tiny, TEXTS).nats
    whole = complexity(tiny, SAMPLES)
    assert whole.tokens == (3,)
    one_by_one = information(tiny, SAMPLES[:1], cut=None).nats[0]
    assert whole.nats[0] > one_by_one


@pytest.mark.parametrize("texts", [[], ["w1", " "]])
def test_missing_texts_are_refused(tiny, texts):
    with pytest.raises(ValueError, match="needs texts"):
        information(tiny, texts)


@pytest.mark.embedded
def test_a_context_of_its_kind_makes_text_likelier(embedded):
    cities = ["Paris is the capital of France.", "Rome is the capital of Italy."]
    sums = ["2 + 2 = 4", "3 + 5 = 8"]
    found = context_likelihood(
        embedded, ["Madrid is the capital of Spain."], {"cities": cities, "sums": sums}
    )
    assert found["cities"].median() < found["sums"].median()
    assert torch.tensor(found["cities"].nats).isfinite().all()
