"""Methods side by side: one row each, its interval, and its random vectors behind."""

import pandas as pd
import pytest

from workbench.figures import draw_comparison


def rows(**changes):
    made = []
    for i, (method, best, equal) in enumerate(
        [("one-shot", 1.5, 1.2), ("means", 0.5, None), ("<b>odd</b>", -0.2, -0.4)]
    ):
        for at, change in (("best scale", best), ("equal KL", equal)):
            if change is not None:
                interval = {"change": change, "low": change - 0.2, "high": change + 0.3}
                made.append(
                    {"method": method, "at": at, **interval, "shows": 0.5, "kl": 0.1, "n": 40,
                     "layer": 10 + i}
                )  # fmt: skip
    made.append({"method": "unsteered", "at": "unsteered", "change": 0.0, "low": 0, "high": 0,
                 "shows": 0.2, "kl": 0, "n": 40})  # fmt: skip
    return pd.DataFrame(made)


def random():
    return pd.DataFrame(
        {"method": method, "vector": f"random {i}", "change": 0.01 * i}
        for method in ("one-shot", "means", "<b>odd</b>")
        for i in range(20)
    )


def test_rows_intervals_and_controls():
    figure = draw_comparison(rows(), random(), about="Yes rather than no", budget=0.1)
    band, best, equal = figure.data
    assert list(best.x) == [1.5, 0.5, -0.2]
    assert list(equal.x) == [1.2, -0.4]
    assert best.error_x.array == pytest.approx([0.3] * 3)
    assert best.error_x.arrayminus == pytest.approx([0.2] * 3)
    assert [round(y) for y in best.y] == [0, 1, 2]
    assert [round(y) for y in equal.y] == [0, 2]
    assert list(band.x[:2]) == pytest.approx([0.0, 0.1805])
    assert "<b>odd" not in "".join(best.customdata)
    assert figure.layout.showlegend
    assert [trace.name for trace in figure.data] == ["random vectors", "best scale", "equal KL"]
    assert "20 random vectors" in figure.layout.meta["caption"]
    assert "40 test items" in figure.layout.meta["caption"]


def test_nothing_to_draw_is_refused():
    with pytest.raises(ValueError, match="no methods to draw"):
        draw_comparison(rows().tail(1), random(), about="x", budget=0.1)
    with pytest.raises(ValueError, match="lacks the columns"):
        draw_comparison(rows().drop(columns="kl"), random(), about="x", budget=0.1)
