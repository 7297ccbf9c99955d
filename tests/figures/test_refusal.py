"""The dashboard: every panel has its data, with names that differ, and hover without markup."""

import numpy as np
import pandas as pd
import pytest

from workbench.analysis.geometry import CosineGeometry, RandomBand
from workbench.analysis.mediation import PARTS, Mediation
from workbench.analysis.refusal_comparison import WAYS, RefusalComparison
from workbench.evaluation import Separation
from workbench.figures import draw_refusal_comparison

KINDS = {
    "one <b>": "one-shot",
    "two": "one-shot",
    "refusal direction": "refusal direction",
    "difference of means": "difference of means",
    "random 0": "random",
}
EXAMINED = ("one <b>", "refusal direction", "difference of means", "random 0")


def effect(vector, kind, way):
    rates = {"success": 0.5, "low": 0.4, "high": 0.6, "raw": 0.7}
    paid = {"false_refusals": 0.1, "false_low": 0.0, "false_high": 0.2, "kl": 0.3}
    counted = {"n": 4, "n_harmless": 3, "cross_entropy_change": 0.1}
    return {"vector": vector, "kind": kind, "way": way, **rates, **paid, **counted}


@pytest.fixture(scope="module")
def compared():
    return comparison()


def comparison():
    labels = tuple(KINDS)
    matrix = np.full((5, 5), 0.25)
    np.fill_diagonal(matrix, 1.0)
    geometry = CosineGeometry(
        matrix, labels, (1.0,) * 5, (2,) * 5, 8, RandomBand(-0.4, 0.4, 0.2), tuple(range(5))
    )
    values = np.arange(16.0).reshape(4, 4)
    four = (0.5,) * 4
    separated = Separation(EXAMINED, (2,) * 4, values, values[:, :3], four, four, four)
    projections = pd.DataFrame(
        [
            {
                "vector": label,
                "kind": KINDS[label],
                "harmful": harmful,
                "request": "<i>r</i>",
                "projection": float(i),
            }
            for label in EXAMINED
            for harmful in (True, False)
            for i in range(3)
        ]
    )
    effects = [effect("unsteered", "unsteered", "")]
    effects += [effect(label, KINDS[label], way) for label in EXAMINED for way in WAYS]
    answers = pd.DataFrame(
        [
            {"vector": vector, "part": part, "request": request, "succeeds": part == PARTS[0]}
            for vector in ("one <b>", "two")
            for part in PARTS
            for request in ("a", "b")
        ]
    )
    mediation = Mediation(answers, {"one <b>": 0.25, "two": 0.25}, "refusal direction")
    return RefusalComparison(
        "one <b>",
        KINDS,
        geometry,
        separated,
        projections,
        pd.DataFrame(effects),
        pd.DataFrame(),
        mediation,
    )


def test_every_panel_has_data_and_a_title(compared):
    figure = draw_refusal_comparison(compared)
    panels = {(trace.xaxis or "x") for trace in figure.data}
    assert panels == {"x", "x2", "x3", "x4", "x5", "x6"}
    assert all(len(trace.x) == len(trace.y) > 0 for trace in figure.data)
    titles = [note.text for note in figure.layout.annotations if note.name != "caption"]
    assert len(set(titles)) >= 6
    shown = [trace.name for trace in figure.data if trace.showlegend is not False]
    assert len(shown) == len(set(shown)) == 6


def test_ways_keep_their_places_and_values(compared):
    figure = draw_refusal_comparison(compared)
    success = [trace for trace in figure.data if trace.xaxis == "x"]
    assert [list(trace.y) for trace in success] == [[0.5] * len(WAYS)] * 4
    assert [round(x) for x in success[0].x] == list(range(len(WAYS)))
    assert len(figure.layout.xaxis.ticktext) == len(set(figure.layout.xaxis.ticktext)) == len(WAYS)


def test_text_of_models_and_requests_is_escaped(compared):
    text = str(draw_refusal_comparison(compared).to_dict())
    assert "one <b>" not in text
    assert "<i>r" not in text


def test_it_says_what_it_is_of(compared):
    caption = draw_refusal_comparison(compared).layout.meta["caption"]
    assert "4 harmful and 3 harmless requests" in caption
    assert "2 vectors" in caption
