"""The lens against a plain forward pass that stops at each layer."""

import sys

import numpy as np
import pytest
import torch

import workbench as wb
from workbench.analysis.logit_lens import _largest, logit_lens
from workbench.models.text import prompt_ids

PROMPT, COMPLETION = "w1 w2 w3 ", "w4 w5 "


def vector(layer, size=6.0):
    values = torch.randn(32, generator=torch.Generator().manual_seed(4))
    return wb.SteeringVector(values * size, layer)


def plain(model, text, edit=None):
    """Hugging Face's own streams at each layer, read through its own head, as log-probs."""
    hf = model.original_model
    handles = []
    if edit is not None:
        layer, values = edit
        handles.append(
            hf.model.layers[layer].register_forward_pre_hook(
                lambda module, args, kwargs: ((args[0] + values, *args[1:]), kwargs),
                with_kwargs=True,
            )
        )
    tokens = torch.tensor([prompt_ids(model, text)])
    with torch.no_grad():
        out = hf(tokens, output_hidden_states=True)
    for handle in handles:
        handle.remove()
    # all but the last are inputs of layers before the edit; the last is normed already
    return tokens[0], out.hidden_states, out.logits[0].log_softmax(-1)


@torch.no_grad()
def test_each_layer_is_read_through_the_models_own_head(tiny):
    found = logit_lens(tiny, PROMPT, COMPLETION, k=3)
    tokens, streams, last = plain(tiny, PROMPT + COMPLETION)
    hf = tiny.original_model
    assert found.layers == ("0", "1", "2", "3", "out")
    assert len(found.tokens) == len(tokens)
    every = [hf.lm_head(hf.model.norm(stream[0])).log_softmax(-1) for stream in streams[:-1]]
    every.append(last)
    for i, log_probs in enumerate(every):
        top = log_probs.topk(3)
        assert found.probabilities[i] == pytest.approx(top.values.exp().numpy(), abs=1e-5)
        entropy = -(log_probs.exp() * log_probs).sum(-1)
        assert found.entropy[i] == pytest.approx(entropy.numpy(), abs=1e-4)
        own = log_probs[:-1].gather(-1, tokens[1:, None])[:, 0]
        assert found.log_prob[i, :-1] == pytest.approx(own.numpy(), abs=1e-4)
        rank = (log_probs[:-1] > own[:, None]).sum(-1)
        assert (found.rank[i, :-1] == rank.numpy()).all()
        if i + 1 < len(every):
            kl = (log_probs.exp() * (log_probs - every[i + 1])).sum(-1)
            assert found.kl[i] == pytest.approx(kl.numpy(), abs=1e-4)
    assert np.isnan(found.kl[-1]).all()
    assert (found.rank[:, -1] == -1).all()
    assert np.isnan(found.log_prob[:, -1]).all()


@torch.no_grad()
def test_a_steered_layer_is_read_behind_the_edit_and_those_below_as_before(tiny):
    steering = vector(2)
    found = logit_lens(tiny, PROMPT, COMPLETION, wb.Add(steering), target="w9", k=2)
    clean = logit_lens(tiny, PROMPT, COMPLETION, target="w9", k=2)
    assert (found.log_prob[:2] == clean.log_prob[:2]).all()
    hf = tiny.original_model
    _, streams, _ = plain(tiny, PROMPT + COMPLETION)
    aim = prompt_ids(tiny, PROMPT + COMPLETION + "w9")[-1]
    edited = hf.lm_head(hf.model.norm(streams[2][0] + steering.values)).log_softmax(-1)
    assert found.log_prob[2] == pytest.approx(edited[:, aim].numpy(), abs=1e-4)
    _, _, last = plain(tiny, PROMPT + COMPLETION, (2, steering.values))
    assert found.log_prob[-1] == pytest.approx(last[:, aim].numpy(), abs=1e-4)
    assert set(found.target) == {"w9"} or all("w9" in text for text in found.target)


def test_the_frame_is_tidy_on_every_architecture(any_model):
    found = logit_lens(any_model, PROMPT, steering=wb.Add(vector(1)))
    frame = found.to_frame()
    assert len(frame) == len(found.layers) * len(found.tokens)
    logits = wb.log_prob(any_model, PROMPT, "w7", wb.Add(vector(1)))
    aimed = logit_lens(any_model, PROMPT, steering=wb.Add(vector(1)), target="w7")
    assert aimed.log_prob[-1, -1] == pytest.approx(float(logits.total), abs=1e-4)
    assert frame["probability"].between(0, 1).all()


def test_bad_input(tiny):
    with pytest.raises(ValueError, match="k must lie between 1 and"):
        logit_lens(tiny, PROMPT, k=0)
    with pytest.raises(ValueError, match="the text is"):
        logit_lens(tiny, "w1 " * 200)


def test_a_few_layers_at_a_time_are_all_at_once(tiny, monkeypatch):
    whole = logit_lens(tiny, PROMPT, COMPLETION)
    module = sys.modules[logit_lens.__module__]  # its package has a function of its name
    monkeypatch.setattr(module, "AT_ONCE", 2 * 97 * len(whole.tokens))
    parts = logit_lens(tiny, PROMPT, COMPLETION)
    assert parts.predicted == whole.predicted
    for name in ("probabilities", "rank", "log_prob", "entropy", "kl"):
        assert getattr(parts, name) == pytest.approx(getattr(whole, name), abs=1e-5, nan_ok=True)


def test_a_model_that_somebody_watches_is_run_itself(tiny):
    expected, seen = logit_lens(tiny, PROMPT, steering=wb.Add(vector(1))), []
    handle = tiny.blocks[2].register_forward_hook(lambda *args: seen.append(1))
    found = logit_lens(tiny, PROMPT, steering=wb.Add(vector(1)))
    handle.remove()
    assert seen
    assert found.log_prob == pytest.approx(expected.log_prob, abs=1e-4, nan_ok=True)


@pytest.mark.parametrize("count", [640, 650])
def test_the_largest_are_found_by_blocks(count):
    values = torch.rand(3, 2, count, generator=torch.Generator().manual_seed(0))
    for found, expected in zip(_largest(values, 5), values.topk(5), strict=True):
        assert torch.equal(found, expected)


def test_layers_below_the_steered_one_are_taken_from_the_unsteered_lens(tiny):
    clean = logit_lens(tiny, PROMPT, COMPLETION, target="w9")
    steering = [wb.Add(vector(3)), wb.Add(vector(2))]
    whole = logit_lens(tiny, PROMPT, COMPLETION, steering, target="w9")
    found = logit_lens(tiny, PROMPT, COMPLETION, steering, target="w9", unsteered=clean)
    assert found.predicted == whole.predicted
    for name in ("probabilities", "rank", "log_prob", "entropy", "kl"):
        assert getattr(found, name) == pytest.approx(getattr(whole, name), abs=1e-5, nan_ok=True)
    with pytest.raises(ValueError, match="of another text, target or k"):
        logit_lens(tiny, PROMPT, COMPLETION, steering, unsteered=clean)
