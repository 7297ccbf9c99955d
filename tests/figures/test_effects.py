"""Effects are drawn place by place."""

import numpy as np

from workbench.analysis.effects import EffectGeometry
from workbench.figures import draw_effects


def test_the_mean_over_pairs_is_the_thick_line():
    cosines = np.linspace(0, 1, 4 * 3 * 2).reshape(4, 3, 2)
    found = EffectGeometry(
        ("a", "<i>b</i>", "c"), ((0, 1), (0, 2), (1, 2)), ("8", "9", "out", "logits"), cosines
    )
    figure = draw_effects(found)
    thick = figure.data[-1]
    assert list(thick.y) == list(cosines.mean(axis=(1, 2)))
    assert len(figure.data) == 1 + 3 + 1
    assert figure.layout.xaxis.ticktext[-1] == "logits"
    assert "3 pairs, 2 prompts" in str(figure.layout)
    assert not any("<i>" in (trace.hovertemplate or "") for trace in figure.data)
