"""Points by set, arrows of vectors, and separation by layer."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from workbench.analysis.structure import ActivationStructure, Plane
from workbench.figures import draw_plane, draw_separation


def plane():
    return Plane(
        4,
        ("a", "a", "<b>"),
        np.array([[1.0, 0.0], [-1.0, 0.5], [0.0, -0.5]]),
        (0.6, 0.3),
        np.zeros(3),
        np.eye(3)[:2],
    )


def test_points_by_set_and_arrows_that_fit():
    arrow = SimpleNamespace(values=torch.tensor([0.5, 0.0, 3.0]), layer=4, label="small")
    long = SimpleNamespace(values=torch.tensor([0.0, 50.0, 0.0]), layer=4, label="long")
    figure = draw_plane(plane(), [arrow, long])
    assert [list(trace.x) for trace in figure.data] == [[1, -1], [0]]
    assert "<b>" not in figure.data[1].name
    ends = [(a.x, a.y) for a in figure.layout.annotations if a.showarrow]
    assert ends == [(0.5, 0.0), (0.0, 1.0)]
    assert "longer ones are cut" in str(figure.layout)
    assert "cut" not in str(draw_plane(plane(), [arrow]).layout)
    assert "60% of variance" in figure.layout.xaxis.title.text
    with pytest.raises(ValueError, match="has shape"):
        draw_plane(plane(), [SimpleNamespace(values=torch.ones(7), layer=4, label="")])


def test_separation_has_a_line_a_set_and_the_chance_level():
    rows = [
        {
            "layer": layer,
            "group": group,
            "auc": auc,
            "low": auc - 0.1,
            "high": auc,
            "shuffled": 0.6,
            "n": 20,
        }
        for layer, auc in ((1, 0.7), (2, 0.9))
        for group in ("b", "c")
    ]
    structure = ActivationStructure(
        (1, 2), ("p",), ("a",), torch.zeros(1, 2, 3), pd.DataFrame(rows)
    )
    figure = draw_separation(structure)
    named = {trace.name: list(trace.y) for trace in figure.data if trace.showlegend is not False}
    assert named == {"b": [0.7, 0.9], "c": [0.7, 0.9], "shuffled labels": [0.6, 0.6]}
