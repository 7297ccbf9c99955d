"""Generation's benchmark, on a model too small to say anything about speed."""

import copy

import pytest
import torch

from benchmarks import generation
from benchmarks.setting import Setting
from tests.conftest import TL3
from workbench.models.plain import plain_of

pytestmark = pytest.mark.skipif(TL3, reason="the benchmarks are of a wrapped Hugging Face model")


def test_rows_for_each_and_the_ratio_of_its_rounds(tiny, monkeypatch):
    monkeypatch.setattr(generation, "QUESTIONS", ["w1 w2", "w3"])
    monkeypatch.setattr(generation, "LAYER", 1)
    hf_model = copy.deepcopy(plain_of(tiny).hf_model)
    setting = Setting({"float32": tiny}, hf_model, None, (), quick=True)
    plain, steered, ratio = generation.measure(setting)
    assert plain.unit == steered.unit == "tokens/s"
    assert len(plain.data["seconds"]) == 2
    assert ratio.bound == 0.97
    assert ratio.value > 0
    assert torch.tensor(plain.data["seconds"]).gt(0).all()
