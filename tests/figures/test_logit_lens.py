"""The grid has a cell a layer and position; framed is where the target is the likeliest."""

import numpy as np
import pytest
import torch

import workbench as wb
from workbench.analysis.logit_lens import logit_lens
from workbench.figures.logit_lens import draw_logit_lens


def test_a_cell_each_with_escaped_text_and_frames(tiny):
    lens = logit_lens(tiny, "w1 w2 w3 ", "w4 w5 ", target="w9", k=2)
    lens.rank[:] = 5
    lens.rank[2, 3] = 0
    figure = draw_logit_lens(lens)
    heat, words, frames = figure.data
    assert np.shape(heat.z) == lens.rank.shape
    assert (heat.zmin, heat.zmax) == (0, 1)
    assert len(words.text) == lens.rank.size
    assert (frames.x[:2], frames.y[:2]) == ((3 - 0.48, 3 + 0.48), (2 - 0.46, 2 - 0.46))
    assert (frames.x[-1], len(frames.x)) == (None, 6)
    labels = figure.layout.xaxis.ticktext
    assert len(set(labels)) == len(labels) == len(lens.tokens)
    assert figure.layout.yaxis.ticktext[-1] == "out"
    assert not any("nan" in text for row in heat.customdata for text in row)
    assert "<bos>" not in "".join(labels)


def test_positions_may_be_left_out_and_many_cells_have_no_words(tiny):
    lens = logit_lens(tiny, "w1 " * 90, steering=wb.Add(_vector()))
    figure = draw_logit_lens(lens)
    assert "text" not in [trace.mode for trace in figure.data[1:]]
    figure = draw_logit_lens(lens, first=85)
    assert np.shape(figure.data[0].z) == (5, len(lens.tokens) - 85)
    with pytest.raises(ValueError, match="first must be one of the"):
        draw_logit_lens(lens, first=200)


def _vector():
    return wb.SteeringVector(torch.ones(32), 1)
