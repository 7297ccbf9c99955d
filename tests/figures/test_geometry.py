from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch

from workbench.analysis import cosine_geometry
from workbench.figures import draw_cosine_geometry


@dataclass
class Vector:
    values: torch.Tensor
    layer: int = 4
    label: str = ""


def geometry(n: int, order: str = "given", **options):
    generator = torch.Generator().manual_seed(0)
    vectors = [Vector(torch.randn(24, generator=generator), label=f"v{i}") for i in range(n)]
    return cosine_geometry(vectors, order=order, **options)


def heatmap(figure):
    return next(trace for trace in figure.data if trace.type == "heatmap")


def test_heatmap_holds_the_cosines_on_a_fixed_scale() -> None:
    given = geometry(5)
    trace = heatmap(draw_cosine_geometry(given))
    np.testing.assert_array_equal(np.asarray(trace.z), given.matrix)
    assert (trace.zmin, trace.zmid, trace.zmax) == (-1, 0, 1)
    scale = [colour for _, colour in trace.colorscale]
    assert scale[0] == "rgb(103,0,31)"  # red for negative
    assert scale[-1] == "rgb(5,48,97)"


def scatters(figure, mode):
    return [trace for trace in figure.data if trace.type == "scatter" and trace.mode == mode]


@pytest.mark.parametrize(("n", "shown"), [(2, True), (12, True), (13, False)])
def test_values_stand_in_cells_that_can_hold_them(n: int, shown: bool) -> None:
    given = geometry(n)
    texts = [
        trace
        for trace in draw_cosine_geometry(given).data
        if trace.type == "scatter" and trace.mode == "text"
    ]
    assert bool(texts) == shown
    if shown:
        numbers = [float(text.replace("\u2212", "-")) for text in texts[0].text]
        np.testing.assert_allclose(numbers, given.matrix.flatten(), atol=0.0051)


def test_caption_names_the_sample_and_the_random_band() -> None:
    given = geometry(4)
    caption = draw_cosine_geometry(given).layout.meta["caption"]
    assert "4 vectors of layer 4" in caption
    assert f"±{given.random.high:.3f}" in caption
    assert f"{given.random.mean_abs:.3f} on average" in caption


def test_labels_are_unique_and_escaped_and_norms_in_the_hover() -> None:
    given = geometry(3, labels=["<b>same name, very long indeed, seed 1</b>"] * 3)
    figure = draw_cosine_geometry(given)
    ticks = figure.layout.yaxis.ticktext
    assert len(set(ticks)) == 3
    assert not any("<" in tick for tick in ticks)
    assert len(set(figure.layout.xaxis.ticktext)) == 3
    hover = heatmap(figure).customdata[0][1]
    assert f"norm {given.norms[0]:.3g}" in hover
    assert "<b>" not in hover


def test_tree_only_where_clustered() -> None:
    assert not scatters(draw_cosine_geometry(geometry(6)), "lines")
    given = geometry(6, "clustered")
    figure = draw_cosine_geometry(given)
    order = list(given.order)
    np.testing.assert_array_equal(np.asarray(heatmap(figure).z), given.matrix[np.ix_(order, order)])
    (tree,) = scatters(figure, "lines")
    heights = [y for y in tree.y if y is not None]
    assert max(heights) == pytest.approx(given.linkage[:, 2].max())
    xs = [x for x in tree.x if x is not None]
    assert (min(xs), max(xs)) == (0, 5)  # leaves stand over their columns
    named = [tick.split("  ")[0] for tick in figure.layout.yaxis.ticktext]
    assert named == [given.labels[i] for i in order]


def test_many_vectors_do_not_crowd_the_ticks() -> None:
    figure = draw_cosine_geometry(geometry(60))
    assert len(figure.layout.yaxis.ticktext) <= 30
    assert len(figure.layout.xaxis.ticktext) == len(figure.layout.xaxis.tickvals) <= 15
    assert figure.layout.height < 800
