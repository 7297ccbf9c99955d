"""The comparison of generation speeds, on a tiny model."""

from __future__ import annotations

import pytest

from benchmarks.generation import QUESTIONS, measure
from tests.conftest import TL3, tiny_hf


@pytest.mark.skipif(TL3, reason="the benchmarks run on TransformerLens 4")
def test_a_record_for_each_with_the_ratios_of_its_rounds(tiny):
    theirs, ours = measure(tiny, tiny_hf("llama"), repeats=3, new_tokens=2, layer=1)
    assert theirs["ratios"] == [1.0, 1.0, 1.0]
    assert ours["ratio"] == sorted(ours["ratios"])[1] > 0
    for record in (theirs, ours):
        rate = len(QUESTIONS) * 2 / record["seconds"]
        assert record["tokens_per_second"] == pytest.approx(rate)
