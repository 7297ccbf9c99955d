"""The three variants are what their formulas say."""

import pytest
import torch

from workbench.methods.reasoning_vectors import random_letters, reasoning_vectors
from workbench.steering.activations import activations

ITEMS = ["w1 w2 w3", "w4 w5", "w6 w7 w8 w9"]
NOISE = ["w20 w21", "w22 w23", "w24 w25"]
LAYER = 2


def test_mean_and_contrast(any_model):
    read, noise = (activations(any_model, some, layers=[LAYER])[:, 0] for some in (ITEMS, NOISE))
    (mean,) = reasoning_vectors(any_model, ITEMS, "mean", layers=[LAYER])
    torch.testing.assert_close(mean.values, read.mean(0), rtol=1e-4, atol=1e-5)
    (contrast,) = reasoning_vectors(any_model, ITEMS, "contrast", noise=NOISE, layers=[LAYER])
    torch.testing.assert_close(contrast.values, read.mean(0) - noise.mean(0), rtol=1e-4, atol=1e-5)


def test_the_component_is_the_direction_the_differences_share(tiny):
    read, noise = (activations(tiny, some, layers=[LAYER])[:, 0] for some in (ITEMS, NOISE))
    (found,) = reasoning_vectors(tiny, ITEMS, "component", noise=NOISE, layers=[LAYER])
    along = (read - noise) @ (found.values / found.norm)
    assert (along > 0).sum() >= 2
    assert found.norm == pytest.approx(float(along.mean().abs()), rel=1e-4)


def test_noise_is_as_long_as_its_item_and_repeatable():
    assert len(random_letters(37, 1)) == 37
    assert random_letters(37, 1) == random_letters(37, 1) != random_letters(37, 2)
    assert set(random_letters(37, 1)) <= set("abcdefghijklmnopqrstuvwxyz ")
    assert random_letters(0, 0) == ""


def test_what_does_not_fit_is_refused(tiny):
    with pytest.raises(ValueError, match="no items"):
        reasoning_vectors(tiny, [])
    with pytest.raises(ValueError, match="a negative prompt for each"):
        reasoning_vectors(tiny, ITEMS, "component", noise=NOISE[:2])
