"""Difference of means equals the plain one, at every layer, with what was read in its record."""

import sys

import pytest
import torch

import workbench as wb
from workbench.methods import mean_difference, moments
from workbench.steering import Positions
from workbench.steering.activations import activations

POSITIVE, NEGATIVE = ["w1 w2", "w3", "w4 w5 w6"], ["w7", "w8 w9"]


def test_it_is_the_difference_of_the_mean_activations(tiny):
    found = mean_difference(tiny, POSITIVE, NEGATIVE)
    expected = activations(tiny, POSITIVE).mean(0) - activations(tiny, NEGATIVE).mean(0)
    assert [vector.layer for vector in found.vectors] == list(range(tiny.cfg.n_layers))
    torch.testing.assert_close(found.stack(), expected, atol=1e-5, rtol=1e-4)
    record = found.vectors[0].provenance
    assert (record.method, record.config["n_positive"]) == ("mean-difference", 3)
    assert record.examples[1]["prompts"] == NEGATIVE


def test_activations_that_are_known_are_not_read_again(tiny, monkeypatch):
    read = tuple(activations(tiny, some, layers=[2, 1]) for some in (POSITIVE, NEGATIVE))
    plain = mean_difference(tiny, POSITIVE, NEGATIVE, layers=[2, 1])
    monkeypatch.setattr(sys.modules[mean_difference.__module__], "moments", None)
    given = mean_difference(tiny, POSITIVE, NEGATIVE, layers=[2, 1], read=read)
    assert [vector.layer for vector in given] == [2, 1]
    torch.testing.assert_close(given.stack(), plain.stack())
    with pytest.raises(ValueError, match="3 prompts at 2 layers were given, for 3 prompts and 1"):
        mean_difference(tiny, POSITIVE, NEGATIVE, layers=[2], read=read)


def test_completions_and_positions_are_read(tiny):
    found = mean_difference(
        tiny,
        ["w1", "w2"],
        ["w1", "w2"],
        positive_completions=[" w3", " w3"],
        negative_completions=[" w4", " w4"],
        layers=[2],
        positions=Positions.completion(),
    )
    at = {"layers": [2], "positions": Positions.completion()}
    expected = activations(tiny, ["w1", "w2"], [" w3"] * 2, **at).mean(0) - activations(
        tiny, ["w1", "w2"], [" w4"] * 2, **at
    ).mean(0)
    torch.testing.assert_close(found.stack(), expected, atol=1e-5, rtol=1e-4)
    with wb.steer(tiny, wb.Add(found.vectors[0])):
        assert tiny(torch.tensor([[1, 2]])).isfinite().all()


def test_moments_are_those_of_the_kept_activations(tiny):
    prompts = [f"w{i} w{i + 1}" for i in range(1, 9)]
    kept = activations(tiny, prompts).double()
    found = moments(tiny, prompts, covariance=True, batch_size=3)
    assert found.n == 8
    torch.testing.assert_close(found.mean, kept.mean(0), atol=1e-6, rtol=1e-5)
    for layer in range(tiny.cfg.n_layers):
        torch.testing.assert_close(
            found.covariance_at(layer), kept[:, layer].T.cov(), atol=1e-6, rtol=1e-4
        )
    with pytest.raises(KeyError, match="layer 99 was not read"):
        found.at(99)
    with pytest.raises(KeyError, match="covariance=True"):
        moments(tiny, prompts[:2]).covariance_at(0)
    with pytest.raises(ValueError, match="two prompts"):
        moments(tiny, prompts[:1], covariance=True)
