"""Scoring's benchmark, on a model too small to say anything about speed."""

import copy

import pytest

from benchmarks import scoring
from benchmarks.setting import Setting
from tests.conftest import TL3
from workbench.models.plain import plain_of

pytestmark = pytest.mark.skipif(TL3, reason="the benchmarks are of a wrapped Hugging Face model")


def test_rows_for_each_and_the_ratio_of_its_rounds(tiny, monkeypatch):
    monkeypatch.setattr(scoring, "PROMOTED", "w1 w2")
    monkeypatch.setattr(scoring, "SUPPRESSED", "w3")
    monkeypatch.setattr(scoring, "VALIDATION", ["w5 w6", "w7"])
    setting = Setting({"float32": tiny}, copy.deepcopy(plain_of(tiny).hf_model), None, (), True)
    each, prepared, ratio = scoring.measure(setting)
    assert each.unit == prepared.unit == "tokens/s"
    assert len(prepared.data["seconds"]) == 2
    assert ratio.value > 0
    assert "2 completions each, 8 vectors of layer 3" in ratio.case
