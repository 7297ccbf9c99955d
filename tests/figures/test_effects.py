"""Effects are drawn place by place."""

import numpy as np
import pytest

from workbench.analysis.effects import EffectGeometry
from workbench.figures import draw_effects


def test_the_mean_over_pairs_is_the_thick_line():
    cosines = np.linspace(0, 1, 4 * 3 * 2).reshape(4, 3, 2)
    found = EffectGeometry(
        ("a", "<i>b</i>", "c"), ((0, 1), (0, 2), (1, 2)), ("8", "9", "out", "logits"), cosines
    )
    figure = draw_effects(found, kinds=["all"] * 3)
    thick = figure.data[-1]
    assert list(thick.y) == list(cosines.mean(axis=(1, 2)))
    assert len(figure.data) == 1 + 3 + 1
    assert not figure.layout.showlegend
    assert figure.layout.xaxis.ticktext[-1] == "logits"
    assert "3 pairs, 2 prompts" in str(figure.layout)
    each = draw_effects(found)  # few pairs: a curve each
    assert [trace.name for trace in each.data] == [
        "a and &lt;i&gt;b&lt;/i&gt;",
        "a and c",
        "&lt;i&gt;b&lt;/i&gt; and c",
    ]
    kinds = draw_effects(found, kinds=["same", "random", "random"])
    curves = [trace for trace in kinds.data if trace.name]
    assert [trace.name for trace in curves] == ["same", "random"]
    assert list(curves[1].y) == pytest.approx(cosines[:, 1:].mean(axis=(1, 2)))
    assert len(kinds.data) == 3  # one band: a single pair has none
    with pytest.raises(ValueError, match="2 kinds for 3 pairs"):
        draw_effects(found, kinds=["a", "b"])
    assert not any("<i>" in (trace.hovertemplate or "") for trace in figure.data)
