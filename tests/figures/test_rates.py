from __future__ import annotations

import math

import pandas as pd
import pytest

from workbench.evaluation import proportion
from workbench.figures import draw_dose, draw_layer_strip, draw_rates
from workbench.figures.intervals import counts, stretches

RATES = {
    "unsteered": proportion(0, 24),
    "random vectors": [proportion(k, 24) for k in (0, 1, 2)],
    "steered": proportion(23, 24),
}
GROUPS = {"unsteered": "unsteered", "random vectors": "control"}


def named(figure, name):
    (trace,) = [trace for trace in figure.data if trace.name == name]
    return trace


def test_rates_are_dots_with_their_intervals() -> None:
    figure = draw_rates(RATES, GROUPS)
    steered = named(figure, "steered")
    p = RATES["steered"]
    assert list(steered.x) == [p.rate]
    assert p.rate + steered.error_x.array[0] == pytest.approx(p.high)
    assert p.rate - steered.error_x.arrayminus[0] == pytest.approx(p.low)
    assert "23/24" in steered.customdata[0]
    control = named(figure, "control")
    assert len(control.x) == 3
    assert len(set(control.y)) == 3  # side by side within their row
    assert [trace.name for trace in figure.data] == ["steered", "control", "unsteered"]
    assert len({trace.marker.color for trace in figure.data}) == 3
    assert len({trace.marker.symbol for trace in figure.data}) == 3


def test_rates_say_units_and_sample_sizes() -> None:
    figure = draw_rates(RATES, GROUPS, measure="refusals")
    assert figure.layout.xaxis.title.text == "share of refusals"
    assert "n = 24" in figure.layout.meta["caption"]
    assert "95% Wilson" in figure.layout.meta["caption"]
    texts = [a.text for a in figure.layout.annotations]
    assert "23/24" in texts
    assert "0\u20132/24" in texts
    uneven = draw_rates({"a": proportion(1, 20), "b": proportion(1, 30)})
    assert "n = 20 to 30" in uneven.layout.meta["caption"]
    assert not uneven.layout.showlegend


def test_rows_are_apart_and_labels_unique() -> None:
    labels = [f"a very long label of a condition, which ends alike {i} and so on" for i in "ab"]
    figure = draw_rates({label: proportion(1, 4) for label in [*labels, "<script>"]})
    ticks = figure.layout.yaxis.ticktext
    assert len(set(ticks)) == 3
    assert len(set(figure.layout.yaxis.tickvals)) == 3
    assert ticks[2] == "&lt;script&gt;"
    assert all("<script>" not in text for trace in figure.data for text in trace.customdata)


def test_missing_rates_are_empty_rows() -> None:
    figure = draw_rates({"a": None, "b": proportion(1, 4)})
    assert len(figure.data[0].x) == 1
    assert len(figure.layout.yaxis.ticktext) == 2
    assert "\u2013" in [a.text for a in figure.layout.annotations]


def test_bad_rates() -> None:
    with pytest.raises(ValueError, match="no rates"):
        draw_rates({})
    with pytest.raises(ValueError, match="unknown groups"):
        draw_rates(RATES, {"steered": "blue"})


def test_dose_is_sorted_with_a_band() -> None:
    given = [proportion(k, 24) for k in (23, 0, 0)]
    figure = draw_dose([1.0, -1.0, 0.0], given)
    steered = named(figure, "steered")
    assert list(steered.x) == [-1, 0, 1]
    assert list(steered.y) == pytest.approx([0, 0, 23 / 24])
    (band,) = [trace for trace in figure.data if trace.fill == "toself"]
    assert list(band.x) == [-1, 0, 1, 1, 0, -1]
    assert list(band.y[:3]) == [given[1].high, given[2].high, given[0].high]
    assert list(band.y[3:]) == [given[0].low, given[2].low, given[1].low]
    assert any(shape.x0 == shape.x1 == 0 for shape in figure.layout.shapes)
    assert not figure.layout.showlegend


def test_dose_leaves_gaps() -> None:
    figure = draw_dose([0, 1, 2, 3], [proportion(1, 4), None, proportion(2, 4), proportion(3, 4)])
    steered = named(figure, "steered")
    assert list(steered.y) == [0.25, None, 0.5, 0.75]
    assert steered.connectgaps is False
    bands = [trace for trace in figure.data if trace.fill == "toself"]
    assert [sorted(set(band.x)) for band in bands] == [[0], [2, 3]]


def test_dose_controls() -> None:
    figure = draw_dose(
        [0, 1],
        [proportion(0, 24), proportion(20, 24)],
        controls={"unsteered": proportion(1, 24), "random": {1.0: RATES["random vectors"]}},
    )
    level = named(figure, "unsteered")
    assert list(level.y) == [1 / 24] * 2
    assert level.line.dash == "dash"
    random = named(figure, "random")
    assert list(random.y) == pytest.approx([0, 1 / 24, 2 / 24])
    assert len(set(random.x)) == 3
    assert sum(random.x) / 3 == pytest.approx(1)
    assert all("scale 1:" in text for text in random.customdata)
    assert figure.layout.showlegend


def test_dose_bad_input() -> None:
    with pytest.raises(ValueError, match="2 scales for 1"):
        draw_dose([0, 1], [None])
    with pytest.raises(ValueError, match="no scales"):
        draw_dose([], [])


def strip_frame() -> pd.DataFrame:
    rows = [(9, 20, 0.5), (3, 2, 8.0), (6, 12, math.nan)]
    return pd.concat(
        [proportion(k, 24).to_frame().assign(layer=layer, loss=loss) for layer, k, loss in rows]
    )


def test_strip_has_rates_above_and_losses_below() -> None:
    figure = draw_layer_strip(strip_frame(), unsteered=proportion(0, 24))
    rates = named(figure, "steered")
    assert list(rates.x) == [3, 6, 9]
    assert list(rates.y) == pytest.approx([2 / 24, 12 / 24, 20 / 24])
    assert len(rates.error_y.array) == 3
    (losses,) = [trace for trace in figure.data if trace.yaxis == "y2"]
    assert list(losses.y) == [8.0, None, 0.5]
    assert losses.connectgaps is False
    assert figure.layout.yaxis2.title.text == "loss, nats"
    assert figure.layout.xaxis2.title.text.startswith("layer")
    assert list(named(figure, "unsteered").y) == [0, 0]
    assert "n = 24" in figure.layout.meta["caption"]


def test_strip_leaves_gaps_and_needs_its_columns() -> None:
    frame = strip_frame().drop(columns="loss").reset_index(drop=True)
    frame.loc[2, ["rate", "low", "high"]] = math.nan
    figure = draw_layer_strip(frame)
    assert list(named(figure, "steered").y)[1] is None
    assert list(named(figure, "steered").error_y.array)[1] is None
    assert "yaxis2" not in figure.to_dict()["layout"]
    with pytest.raises(ValueError, match="lacks the columns"):
        draw_layer_strip(frame.drop(columns="low"))
    with pytest.raises(ValueError, match="no layers"):
        draw_layer_strip(frame.iloc[:0])


def test_several_vectors_a_layer_are_points() -> None:
    figure = draw_layer_strip(pd.concat([strip_frame(), strip_frame()]))
    assert named(figure, "steered").mode == "markers"
    assert len(named(figure, "steered").x) == 6


def test_counts_and_stretches() -> None:
    p = proportion(1, 4)
    assert counts([p]) == "1/4"
    assert counts([p, proportion(1, 5)]) == "2 rates"
    assert [[x for x, _ in piece] for piece in stretches([(0, None), (1, p), (2, None)])] == [[1]]


@pytest.mark.parametrize(
    "figure",
    [
        draw_rates(RATES, GROUPS),
        draw_dose([0, 1], [RATES["unsteered"], RATES["steered"]]),
        draw_layer_strip(strip_frame()),
    ],
    ids=["rates", "dose", "strip"],
)
def test_axes_are_shares(figure) -> None:
    axis = figure.layout.xaxis if figure.layout.xaxis.tickformat else figure.layout.yaxis
    assert axis.tickformat == ".0%"
    assert axis.range[0] < 0 < 1 < axis.range[1]
