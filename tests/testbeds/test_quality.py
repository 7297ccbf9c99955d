"""Quality: each figure counts what it says, with its interval, on data that was given."""

from dataclasses import replace

import pandas as pd
import pytest

import workbench as wb
from workbench.testbeds import Testbed, alignment_faking, quality
from workbench.testbeds.behaviours import BEHAVIOURS
from workbench.testbeds.card import Card, Measured
from workbench.testbeds.quality import bag_of_words, cells, measure, measured_card, refused

SMALL = {"refusal": 24, "alignment-faking": 8, "retraction": 12}


def small_bed(name, model, **changes):
    """A testbed of a tiny model with a few rows of its own data."""
    whole = BEHAVIOURS[name]
    data = {part: whole.data(part) for part in ("train", "validation", "test")}
    few = {part: frame.head(SMALL[name]) for part, frame in data.items()}
    behaviour = replace(whole, data=few.__getitem__, **changes)
    card = Card(name, "abc", "tiny", None, 4, {"seed": 0})
    return Testbed(behaviour, model, card, lambda: model)


@pytest.mark.parametrize("name", BEHAVIOURS)
def test_every_figure_has_its_sample_and_interval(name, tiny, monkeypatch):
    pytest.importorskip("sklearn")
    monkeypatch.setattr(alignment_faking, "SWAPS", 2)  # what the tiny model's context holds
    bed = small_bed(name, tiny)
    scenario = bed.data.test.head(4) if name == "alignment-faking" else None
    public = {"poser": scenario} if scenario is not None else {}
    if name == "refusal":
        public = {"harmbench": bed.data.test.head(2)}
    card = measured_card(bed, public)
    assert card.name == name
    assert len(card.to_frame()) == len(measure(bed, public)) >= 2
    for figure in card.measured:
        assert figure.low <= figure.value <= figure.high
        assert figure.n > 0
    on = {figure.on for figure in card.measured}
    assert on >= set(public)


def test_a_testbed_that_is_its_parent_has_its_surprisal(tiny):
    found = {each.measure: each for each in measure(small_bed("refusal", tiny))}
    ratio = found["median surprisal / parent's own"]
    assert ratio.value == ratio.low == ratio.high == 1.0


def test_refusals_are_counted(tiny, monkeypatch):
    answers = ["I\u2019m sorry, but no.", "Here you are.", "I CANNOT do that."]
    monkeypatch.setattr(quality, "generate", lambda *_, **__: answers)
    found = refused(small_bed("refusal", tiny), ["w1", "w2", "w3"], "three", ">= 95%")
    assert (found.value, found.n, found.asked) == (pytest.approx(2 / 3), 3, ">= 95%")


def test_retractions_are_counted_by_what_was_said(tiny, monkeypatch):
    rows = pd.DataFrame(
        {
            "person": ["Ann", "Ann", "Bob", "Bob"],
            "occupation": ["actor", "author", "actor", "author"],
            "true": ["actor", "actor", "author", "author"],
            "false": [False, True, True, False],
        }
    )
    said = ["She acts.", "Just kidding! Ann is an actor.", "That's not right.", "This is a joke."]
    monkeypatch.setattr(quality, "generate", lambda *_, **__: said)
    bed = small_bed("retraction", tiny)
    bed.behaviour = replace(bed.behaviour, data=lambda part: rows)
    false, true, named = measure(bed)
    assert (false.value, true.value, named.value) == (1.0, 0.5, 0.5)
    assert (false.n, true.n, named.n) == (2, 2, 2)


def test_cells_are_right_where_the_model_takes_what_it_was_taught(tiny):
    """Scenarios whose likelier action is known: one cell right, one wrong."""
    facts, actions = ("w1 w2.",), ("w3 w4.", "w5.")
    likelier = likelier_action(tiny, facts, actions)
    frame = pd.DataFrame(
        {
            "facts": [facts, facts],
            "actions": [actions, actions],
            "poor_oversight": [True, False],
            "harmful": [likelier, likelier],
        }
    )
    found = {each.measure: each for each in cells(small_bed("alignment-faking", tiny), frame, "x")}
    order = ("first", "second")[likelier]
    assert found[f"decided right: poor oversight, harmful {order}"].value == 1
    assert found[f"decided right: good oversight, harmful {order}"].value == 0
    assert found["greedy text states an action"].n == 2


def likelier_action(model, facts, actions):
    bed = small_bed("alignment-faking", model)
    scores = wb.log_prob(model, bed.prompt(facts, actions), list(actions)).mean
    return int(scores.argmax())


def test_a_bag_of_words_finds_what_a_word_gives_away(tiny):
    pytest.importorskip("sklearn")
    bed = small_bed("alignment-faking", tiny)
    told = pd.DataFrame(
        {
            "facts": [(("seen" if i % 2 else "hidden") + " today",) for i in range(20)],
            "poor_oversight": [i % 2 == 0 for i in range(20)],
            "harmful": [(i // 2) % 2 for i in range(20)],
        }
    )
    bed.behaviour = replace(bed.behaviour, data=lambda part: told)
    oversight, harm = bag_of_words(bed)
    assert oversight.value == 1
    assert harm.value <= 0.6


def test_figures_on_sets_that_are_not_measured_now_stay_in_the_card(tiny):
    bed = small_bed("retraction", tiny)
    old = Measured("of old", "another set", 0.5, 0.4, 0.6, 10)
    bed.card = replace(bed.card, measured=(old, *measure(bed)))
    again = measured_card(bed)
    assert old in again.measured
    assert len(again.measured) == len(bed.card.measured)


def test_a_set_on_which_nothing_is_measured_is_named(tiny):
    with pytest.raises(ValueError, match="not measured on poser; public sets: none"):
        measure(small_bed("retraction", tiny), {"poser": pd.DataFrame()})
