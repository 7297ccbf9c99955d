"""Slopes are those of each item's score over the scales."""

from dataclasses import replace

import numpy as np
import pytest

import workbench as wb
from workbench.experiments.compare import Item
from workbench.experiments.compare.slopes import slopes
from workbench.methods import caa
from workbench.methods.caa import AFTER_PROMPT


@pytest.fixture
def lettered(task):
    return replace(
        task, lettered=tuple(Item(item.prompt, "w70 w71", "w70 w72") for item in task.test)
    )


def test_they_equal_a_plain_computation(lettered):
    found = slopes(lettered, [2], share=0.5, random=2, progress=False)
    frame = found.to_frame().set_index(["scored", "vector"])
    assert found.layer == 2
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


def test_what_does_not_fit_is_refused(task, lettered):
    with pytest.raises(ValueError, match="no lettered answers"):
        slopes(replace(task, letters=()), [2])
    with pytest.raises(ValueError, match="two scales or more"):
        slopes(lettered, [2], scales=[1.0])
    with pytest.raises(ValueError, match="none twice"):
        slopes(lettered, [2], scales=[-1, 1, 1])
