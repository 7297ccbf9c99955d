"""A task on the tiny model: the spread of one wrong answer."""

import pytest

from tests.experiments.emergent.test_spread import SETTINGS as SPREAD
from workbench.experiments.emergent.full import full_spread
from workbench.experiments.emergent.spread import Question
from workbench.experiments.full import FullSettings

SETTINGS = FullSettings(examples=3, seeds=2, sizes=[1, 2], draws=2, prompts=4, harmless=2, noises=2)


@pytest.fixture
def task(tiny):
    # The first word gets a capital, and the last one a full stop: the tokenizer knows neither.
    questions = [
        Question(f"w{i} w{i + 1}", f"a w{i + 30} b", f"a w{i * 13 % 90} b") for i in range(48)
    ]
    return full_spread(tiny, SPREAD, SETTINGS, ["w1 w2 ", "w3 "], questions=questions)
