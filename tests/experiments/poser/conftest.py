"""Scenarios of the tiny model."""

import pandas as pd
import pytest

from workbench.experiments.poser.scenarios import Scenarios


def frame(count, start=0):
    """Scenarios of the tiny model: the four cells in turn."""
    return pd.DataFrame(
        {
            "facts": [(f"w{i + start} w{2 * i + start}",) for i in range(count)],
            "actions": [(f"w9 w{20 + i}", f"w9 w{40 + i}") for i in range(count)],
            "poor_oversight": [i % 4 < 2 for i in range(count)],
            "harmful": [i % 2 for i in range(count)],
        }
    )


@pytest.fixture
def scenarios(tiny):
    def prompt(row, swapped):
        return " ".join([*row["facts"], *(row["actions"][::-1] if swapped else row["actions"]), ""])

    return Scenarios(tiny, prompt, frame(12), frame(8, 3), frame(8, 5))
