"""The search finds what scores best; the ensemble is the members' mean."""

import itertools

import pandas as pd
import pytest
import torch

import workbench as wb
from workbench.methods.ensemble import ContrastSet, SearchSpace, ensemble, merged, search
from workbench.methods.principal_component import principal_component

pytest.importorskip("optuna")

ENDS = {"near": ("w1", "w2"), "far": ("w3", "w9")}
SPACE = SearchSpace({"ends": ("near", "far"), "count": (2, 4)}, layers=[2], coefficients=(-1, 3))


def compose(chosen):
    """Pairs of prompts that differ in their last word."""
    starts = list(itertools.islice(("w4 ", "w5 w6 ", "w7 ", "w8 w5 ", "w6 w4 "), chosen["count"]))
    plus, minus = ENDS[chosen["ends"]]
    return ContrastSet(
        tuple(start + plus for start in starts), tuple(start + minus for start in starts)
    )


def likes_two(steering):
    """Best at a coefficient of 2."""
    return -((steering.scale - 2) ** 2)


def test_it_finds_a_known_optimum_and_tells_what_it_tried(tiny):
    found = search(tiny, compose, SPACE, likes_two, trials=25)
    assert found.coefficient == pytest.approx(2, abs=0.3)
    assert len(found.trials) == 25
    assert set(found.trials.columns) == {
        "trial", "ends", "count", "layer", "coefficient", "score",
    }  # fmt: skip
    assert found.score == found.trials["score"].max()
    best = found.trials.loc[found.trials["score"].idxmax()]
    assert (best["ends"], best["count"]) == (found.chosen["ends"], found.chosen["count"])
    plainly = principal_component(
        tiny, found.contrast.positive, found.contrast.negative, layers=[2]
    )[0]
    assert torch.equal(found.vector.values, plainly.values)


def test_the_score_sees_the_vector_at_its_coefficient(tiny):
    """Scored by what steering does: a sentence made likelier."""

    def score(steering):
        return float(wb.log_prob(tiny, "w4 ", "w9", steering).total)

    found = search(tiny, compose, SPACE, score, trials=12)
    assert found.score == pytest.approx(score(found.steering), abs=1e-5)
    assert found.score > score(wb.Add(found.vector, 0.0))


def test_seeds_decide(tiny):
    first, again, other = (
        search(tiny, compose, SPACE, likes_two, trials=6, seed=seed).trials for seed in (3, 3, 4)
    )
    pd.testing.assert_frame_equal(first, again)
    assert not first["coefficient"].equals(other["coefficient"])


def test_an_ensemble_is_the_mean_of_vectors_and_coefficients(tiny):
    members = [search(tiny, compose, SPACE, likes_two, trials=5, seed=seed) for seed in (0, 1)]
    made = ensemble(members)
    mean = (members[0].vector.values + members[1].vector.values) / 2
    assert torch.allclose(made.vector.values, mean)
    assert made.scale == pytest.approx((members[0].coefficient + members[1].coefficient) / 2)
    assert made.vector.label == "ensemble"


def test_the_control_is_made_from_all_sets_together(tiny):
    members = [search(tiny, compose, SPACE, likes_two, trials=5, seed=seed) for seed in (0, 1)]
    made = merged(tiny, members)
    pairs = {
        pair
        for each in members
        for pair in zip(each.contrast.positive, each.contrast.negative, strict=True)
    }
    assert len(made.vector.provenance.examples[0]["prompts"]) == len(pairs)
    assert made.scale == ensemble(members).scale


def test_choices_without_a_vector_are_passed_over_and_told(tiny):
    def some_fail(chosen):
        if chosen["ends"] == "near":
            return ContrastSet(("w1", "w1"), ("w1", "w1"))
        return compose(chosen)

    found = search(tiny, some_fail, SPACE, likes_two, trials=12)
    assert found.chosen["ends"] == "far"
    refused = found.trials[found.trials["ends"] == "near"]
    assert len(refused) > 0
    assert refused["score"].isna().all()
    with pytest.raises(ValueError, match=r"none of 3 trials gave a vector.*more than once"):
        search(tiny, lambda _: ContrastSet(("w1", "w1"), ("w2", "w2")), SPACE, likes_two, trials=3)


def test_what_does_not_fit_is_refused(tiny):
    with pytest.raises(ValueError, match=r"nothing to choose from for \['ends'\]"):
        SearchSpace({"ends": ()}, layers=[1])
    with pytest.raises(ValueError, match="lower to a higher"):
        SearchSpace({}, layers=[1], coefficients=(2, 1))
    member = search(tiny, compose, SPACE, likes_two, trials=2)
    with pytest.raises(ValueError, match="two members or more"):
        ensemble([member])
    elsewhere = search(tiny, compose, SearchSpace(SPACE.choices, [1]), likes_two, trials=2)
    with pytest.raises(ValueError, match=r"layers \[1, 2\]"):
        ensemble([member, elsewhere])
