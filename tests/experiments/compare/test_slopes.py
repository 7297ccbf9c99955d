"""Slopes are those of each item's score over the scales."""

from dataclasses import replace

import numpy as np
import pytest

import workbench as wb
from workbench.experiments.compare import Item, SlopeSettings, slopes
from workbench.methods import caa
from workbench.methods.caa import AFTER_PROMPT

SETTINGS = SlopeSettings([2], [0.5], random=2, pairs=6)


@pytest.fixture
def lettered(task):
    return replace(
        task, lettered=tuple(Item(item.prompt, "w70 w71", "w70 w72") for item in task.test)
    )


def test_they_equal_a_plain_computation(lettered):
    found = slopes(lettered, SETTINGS, progress=False)
    frame = found.to_frame().set_index(["scored", "vector"])
    assert (found.layer, found.share) == (2, 0.5)
    assert len(frame) == 2 * 3
    (vector,) = caa(lettered.model, lettered.letters, layers=[2])
    own = found.scores[(found.scores["vector"] == "CAA") & (found.scores["scored"] == "text")]
    (one,) = own[(own["item"] == 0) & (own["scale"] == 1.0)]["score"]
    item = lettered.test[0]
    norm = np.mean(
        wb.evaluation.relative_norms(
            lettered.model, [vector], lettered.harmless["validation"]
        ).stream
    )
    steering = wb.Add(vector.normalized(0.5 * norm), 1.0, AFTER_PROMPT)
    shows, lacks = (
        float(wb.log_prob(lettered.model, item.prompt, text, steering).mean)
        for text in (item.shows, item.lacks)
    )
    assert one == pytest.approx(shows - lacks, abs=1e-4)
    table = own.pivot(index="item", columns="scale", values="score")
    assert frame.loc[("text", "CAA"), "slope"] == pytest.approx(
        float((table[1.0] - table[-1.0]).mean() / 2), abs=1e-6
    )
    row = frame.loc[("letter", "CAA")]
    assert row["low"] <= row["slope"] <= row["high"]
    assert row["n"] == len(lettered.test)
    matching = found.matching().set_index(["scored", "scale"])
    assert matching.loc[("text", 1.0), "matching"] == (table[1.0] > 0).mean()


def test_the_choice_is_made_on_validation_and_random_vectors_stand_beside(lettered):
    settings = replace(SETTINGS, layers=[1, 2], shares=[0.2, 0.5])
    found = slopes(lettered, settings, progress=False)
    assert len(found.tried) == 4
    assert set(found.tried["n"]) == {len(lettered.validation)}
    best = found.tried.sort_values("low").iloc[-1]
    assert (found.layer, found.share) == (best["layer"], best["share"])
    summary = found.summary().set_index("scored")
    frame = found.to_frame()
    others = frame[(frame["vector"] != "CAA") & (frame["scored"] == "text")]["slope"]
    row = summary.loc["text"]
    assert (row["random_low"], row["random_high"]) == (others.min(), others.max())
    assert row["beyond"] == (row["slope"] > others.max())


def test_what_does_not_fit_is_refused(task):
    with pytest.raises(ValueError, match="no lettered answers"):
        slopes(replace(task, letters=()), SETTINGS)
    with pytest.raises(ValueError, match="scales must hold 2 or more"):
        replace(SETTINGS, scales=[1.0])
    with pytest.raises(ValueError, match="none twice"):
        replace(SETTINGS, scales=[-1, 1, 1])
    with pytest.raises(ValueError, match="random must be at least 2"):
        replace(SETTINGS, random=1)
