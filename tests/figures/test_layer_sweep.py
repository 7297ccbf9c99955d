"""A panel for the outcome, one for each other column that has values."""

import numpy as np

from workbench.analysis.layer_sweep import LayerSweep
from workbench.figures import draw_layer_sweep


def sweep(kl=0.5):
    return LayerSweep(
        ("a", "b", "c", "d"),
        (1, 1, 2, 2),
        (1.0, 2.0, 3.0, 4.0),
        (1.0,) * 4,
        (float("nan"),) * 4,
        np.array([[0.0, 1.0], [1.0, 1.0], [2.0, 3.0], [3.0, 3.0]]),
        (kl,) * 4,
    )


def test_panels_are_those_that_have_values():
    figure = draw_layer_sweep(sweep(), unsteered=-1.0)
    titles = [
        figure.layout[name].title.text
        for name in ("yaxis", "yaxis2", "yaxis3")
        if name in figure.layout
    ]
    assert titles[1:] == ["norm", "KL, nats a token"]
    lines = [trace for trace in figure.data if trace.mode == "lines" and trace.fill is None]
    assert list(lines[0].y) == [0.75, 2.75]
    assert not figure.layout.showlegend
    fewer = draw_layer_sweep(sweep(float("nan")))
    assert "yaxis3" not in fewer.layout
    assert "4 vectors" in str(fewer.layout)
