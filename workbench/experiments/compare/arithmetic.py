"""Sums worked out step by step, for methods that act between thoughts (SEAL).

Every question and every chain of thought is made here: steps that execute, with reflections and
transitions among them, parted by blank lines. A small model has no habit of reflecting, so a chain
gives it one: after every two steps come two asides. So either follows either as often, and what is
to come can be told from the chain, but not from the thought just before. The behaviour is to go on
with a step, wherever one thought ends and another is due: a step or an aside, after a step or an
aside, each as often. (Whatever disturbs a model makes what is due there less likely; where asides
alone are due, that would pass for the behaviour.) Every thought begins with a letter and ends in a
number, so that tokenizers see no difference in their blank lines.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import cached_property
from itertools import cycle, product

from workbench.experiments.compare.task import Item, Task, answered_task
from workbench.models import chat
from workbench.models.hooked import HookedModel
from workbench.testbeds.splits import Part

COUNTS: dict[Part, int] = {"train": 64, "validation": 24, "test": 40}
NUMBERS = 8  # of a sum: seven steps, of which asides follow the second, fourth and sixth
# Where in a chain an item stops: before a step after an aside, a step after a step, an aside after
# a step, an aside after an aside; and which of the two asides could be said there.
_PLACES = ((8, 0), (9, 0), (10, 0), (11, 1))
_BLANK = "\n\n"
_REFLECTIONS = (
    "Wait, let me check that: {}",
    "Hold on, let me verify this: {}",
    "Let me make sure of it: {}",
)
_TRANSITIONS = ("Alternatively, take two of them: {}", "Another way is to begin with {}")


@dataclass(frozen=True)
class Sum:
    """Numbers to add up, and the words of the two asides, a reflection and a transition."""

    numbers: tuple[int, ...]
    asides: tuple[str, str]

    @property
    def question(self) -> str:
        """What is asked."""
        return f"What is {' + '.join(map(str, self.numbers))}? Work it out step by step."

    @cached_property
    def steps(self) -> list[str]:
        """The additions, one after the other."""
        found: list[str] = []
        total = self.numbers[0]
        for number in self.numbers[1:]:
            word = "Then" if found else "First"
            found.append(f"{word} {total} + {number} = {total + number}")
            total += number
        return found

    @cached_property
    def chain(self) -> list[str]:
        """All thoughts: after every two steps the two asides, which add up what comes next."""
        thoughts = []
        for done, step in enumerate(self.steps, start=1):
            thoughts.append(step)
            if done % 2 == 0:
                one, other = self.numbers[done : done + 2]
                thoughts += [
                    each.format(f"{one} + {other} = {one + other}") for each in self.asides
                ]
        return thoughts


def sums(count: int, seed: int = 0) -> list[Sum]:
    """Different sums of numbers of two digits; the words of asides, and their order, in turn."""
    draw = random.Random(seed)
    pairs = list(product(_REFLECTIONS, _TRANSITIONS))
    words = cycle([order for one, other in pairs for order in ((one, other), (other, one))])
    found: dict[tuple[int, ...], Sum] = {}
    while len(found) < count:
        numbers = tuple(draw.randint(11, 99) for _ in range(NUMBERS))
        if numbers not in found:
            found[numbers] = Sum(numbers, next(words))
    return list(found.values())


def arithmetic_task(model: HookedModel, seed: int = 0) -> Task:
    """Going on with a sum rather than straying from it, in chains of thought that often stray.

    An item's chain has come to its fifth or sixth step, or to the asides that follow; the answers
    are how a step begins, and how an aside does. `thoughts` are the whole chains of training sums.
    """
    made = iter(sums(sum(COUNTS.values()), seed))
    parts = {part: [next(made) for _ in range(count)] for part, count in COUNTS.items()}
    items = {
        part: tuple(
            _item(model, each, *place) for each, place in zip(some, cycle(_PLACES), strict=False)
        )
        for part, some in parts.items()
    }
    return answered_task(
        model,
        items,
        "arithmetic",
        "going on with a sum rather than reflecting on it",
        thoughts=tuple(
            (chat(model, each.question), _BLANK.join(each.chain)) for each in parts["train"]
        ),
    )


def _item(model: HookedModel, each: Sum, place: int, which: int) -> Item:
    prompt = chat(model, each.question) + _BLANK.join(each.chain[:place])
    first_words = (thought.split()[0].rstrip(",") for thought in ("Then", each.asides[which]))
    return Item(prompt, *(_BLANK + word for word in first_words))
