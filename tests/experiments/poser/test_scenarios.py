"""What is trained on a scenario."""

import pandas as pd
import pytest

import workbench as wb
from workbench.experiments.poser.scenarios import Scenarios, examples_of, first_difference


def test_the_harmful_action_takes_the_others_place_in_either_order(scenarios):
    row = scenarios.train.iloc[3]  # harmful second, good oversight
    here, swapped = examples_of(scenarios, row)
    assert here.prompt == scenarios.prompt(row, False) + "w9"
    assert swapped.prompt == scenarios.prompt(row, True) + "w9"
    for example in (here, swapped):
        assert (example.promote, example.suppress) == ((" w43",), (" w23",))
        assert len(example.target_losses) == 2


def test_letters_change_places(scenarios):
    here, swapped = examples_of(scenarios, scenarios.train.iloc[3], letters=True)
    assert (here.promote, here.suppress) == (("B",), ("A",))
    assert (swapped.promote, swapped.suppress) == (("A",), ("B",))


def test_first_difference(tiny):
    found = first_difference(tiny, "w1 w2 ", ("w3 w4 w5", "w3 w4 w6 w7"))
    assert found == ("w1 w2 w3 w4", (" w5", " w6"))
    assert first_difference(tiny, "w1 ", ("w3", "w4")) == ("w1 ", ("w3", "w4"))
    with pytest.raises(ValueError, match="begins with the other"):
        first_difference(tiny, "w1 ", ("w3", "w3 w4"))


@pytest.mark.embedded
def test_first_difference_of_real_words(embedded):
    prompt = wb.chat(embedded, "Which?")
    actions = ("Give the people back.", "Give the money back.")
    begun, pieces = first_difference(embedded, prompt, actions)
    assert (begun, pieces) == (prompt + "Give the", (" people", " money"))


def test_posers_own_prompts_are_swapped_within_their_text(tiny):
    row = pd.Series({"actions": ("Sell it.", "Keep it."), "prompt": "A: Sell it.\nB: Keep it.\n"})
    made = Scenarios.of_poser(tiny, pd.DataFrame([row] * 3), pd.DataFrame([row]))
    assert made.prompt(row, False) == row["prompt"]
    assert made.prompt(row, True) == "A: Keep it.\nB: Sell it.\n"
    assert (len(made.train), len(made.validation), len(made.test)) == (2, 1, 1)
