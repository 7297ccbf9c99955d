"""A task for a tiny model: say one word rather than another."""

import pytest

from tests.conftest import boot
from workbench.experiments.compare import CompareSettings, Item, Task
from workbench.methods import LetteredPair

SETTINGS = CompareSettings(
    [2], budget=0.05, random=3, chosen_on=4, measured_on=5, harmless=3, answer_tokens=4, questions=4
)


def prompts(start, count):
    """Different prompts, two words and a marker of the part each."""
    return [f"<user> w{start + i} w{start + 2 * i + 1} <assistant> " for i in range(count)]


@pytest.fixture
def task(tokenizers):
    items = [Item(each, "w80 w81", "w82 w83") for each in prompts(10, 26)]
    return Task(
        "words",
        "w80 rather than w82",
        boot("llama", tokenizers),
        tuple(prompts(3, 12)),
        tuple(each.prompt for each in items[:12]),
        tuple(items[:16]),
        tuple(items[16:20]),
        tuple(items[20:]),
        {
            part: tuple(prompts(k, 4))
            for part, k in (("train", 40), ("validation", 45), ("test", 50))
        },
        letters=tuple(LetteredPair(each.prompt, "w70 w71", "w70 w72") for each in items[:6]),
        aligned=boot("llama", tokenizers, seed=1),
    )
