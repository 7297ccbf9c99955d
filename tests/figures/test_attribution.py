"""The waterfall ends where the whole does."""

import numpy as np
import pandas as pd
import pytest

from workbench.figures.attribution import draw_attribution


def frame(n=3):
    rows = [("edit 1", "edit", 1, None, 2.0)]
    for layer in (1, 2):
        rows += [
            (f"head {layer}.{h}", "attention head", layer, h, (-1) ** h * layer / 4)
            for h in range(4)
        ]
        rows.append((f"MLP {layer}", "MLP", layer, None, -0.3 * layer))
    rows.append(("final norm", "final norm", None, None, 0.1))
    table = pd.DataFrame(rows, columns=["part", "kind", "layer", "head", "mean"])
    spread = 0.2 if n > 1 else np.nan
    return table.assign(low=table["mean"] - spread, high=table["mean"] + spread, n=n)


@pytest.mark.parametrize("n", [1, 3])
@pytest.mark.parametrize("largest", [2, 50])
def test_the_waterfall_adds_up(n, largest):
    means = frame(n)
    figure = draw_attribution(means, largest=largest)
    *parts, total = figure.data
    assert total.x[0] == pytest.approx(means["mean"].sum())
    bars = sorted(
        (y, base, x)
        for trace in parts
        for y, base, x in zip(trace.y, trace.base, trace.x, strict=True)
    )
    end = 0.0
    for _, base, x in bars:
        assert base == pytest.approx(end)
        end += x
    assert end == pytest.approx(total.x[0])
    names = figure.layout.yaxis.ticktext
    assert len(set(names)) == len(names) == len(bars) + 1
    assert len(bars) == (len(means) if largest == 50 else 1 + 2 + 2 + 1)
    assert f"{n} prompt" in str(figure.layout)


def test_what_cannot_be_drawn_is_refused():
    with pytest.raises(ValueError, match=r"lacks the columns \['mean'\]"):
        draw_attribution(frame().drop(columns="mean"))
    with pytest.raises(ValueError, match="no parts"):
        draw_attribution(frame().iloc[:0])
