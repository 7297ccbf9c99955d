"""Each cell is a log-prob with the vector at that place alone, or everywhere else."""

import numpy as np
import pytest
import torch

import workbench as wb
from workbench.analysis.position_map import position_map

PROMPT, SAID = "w1 w2 w3 ", "w4 w5"
VECTOR = wb.SteeringVector(torch.randn(32, generator=torch.Generator().manual_seed(6)) * 4, 2)


def test_cells_equal_one_by_one(any_model):
    found = position_map(any_model, VECTOR, PROMPT, SAID, layers=[1, 2])
    n = len(found.tokens)
    assert found.alone.shape == found.without.shape == (2, n)
    plain = float(wb.log_prob(any_model, PROMPT, SAID).total)
    assert found.unsteered == pytest.approx(plain)
    moved = wb.SteeringVector(VECTOR.values, 1)
    whole = float(wb.log_prob(any_model, PROMPT, SAID, wb.Add(moved)).total)
    assert found.everywhere[0] == pytest.approx(whole - plain, abs=1e-4)
    for i in range(n):
        here = wb.Add(moved, positions=wb.Positions.span(i, i + 1))
        one = float(wb.log_prob(any_model, PROMPT, SAID, here).total)
        assert found.alone[0, i] == pytest.approx(one - plain, abs=1e-3)
        rest = torch.ones(n, dtype=torch.bool)
        rest[i] = False
        others = wb.Add(moved, positions=wb.Positions.mask(rest))
        assert found.without[0, i] == pytest.approx(
            float(wb.log_prob(any_model, PROMPT, SAID, others).total) - whole, abs=1e-3
        )


def test_the_last_token_of_the_completion_changes_nothing(tiny):
    found = position_map(tiny, VECTOR, PROMPT, SAID)
    assert found.layers == (2,)
    assert found.alone[0, -1] == pytest.approx(0, abs=1e-5)
    assert (np.abs(found.alone[0, :-1]) > 1e-6).any()
    frame = found.to_frame()
    assert list(frame["part"]).count("completion") == len(found.tokens) - found.completion_from


def test_bad_input(tiny):
    with pytest.raises(IndexError, match="layer 9 is out of range"):
        position_map(tiny, VECTOR, PROMPT, SAID, layers=[9])
