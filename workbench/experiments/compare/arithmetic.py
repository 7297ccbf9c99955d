"""Sums worked out step by step, for methods that act between thoughts (SEAL).

Every question and every chain of thought is made here: steps that execute, with reflections and
transitions among them, parted by blank lines. A small model has no habit of reflecting, so a chain
gives it one: in it every step is checked and looked at in another way before the next, and what
comes can be told from what came. The behaviour is to go on with the next step there. Steps end in a
number, so that no tokenizer merges them with the blank line.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import cached_property
from itertools import cycle, product

from workbench.experiments.compare.task import Item, Task, harmless_questions
from workbench.models import chat
from workbench.models.hooked import HookedModel

COUNTS = {"train": 64, "validation": 24, "test": 40}
NUMBERS, STEPS_BEFORE = 6, 3  # of a sum; of an item's chain, before it is to go on
_BLANK = "\n\n"
_REFLECTIONS = (
    "Wait, let me check that: {}",
    "Hmm, let me verify this: {}",
    "Let me make sure of it: {}",
)
_TRANSITIONS = ("Alternatively, take two of them: {}", "Another way is to begin with {}")


@dataclass(frozen=True)
class Sum:
    """Numbers to add up, and the words of thoughts that do not go on."""

    numbers: tuple[int, ...]
    reflection: str
    transition: str

    @property
    def question(self) -> str:
        """What is asked."""
        return f"What is {' + '.join(map(str, self.numbers))}? Work it out step by step."

    @cached_property
    def steps(self) -> list[str]:
        """The additions, one after the other."""
        found, total = [], self.numbers[0]
        for number in self.numbers[1:]:
            found.append(f"{total} + {number} = {total + number}")
            total += number
        return found

    def asides(self, done: int) -> list[str]:
        """A reflection on the last of the steps that are done, and a transition."""
        one, other = self.numbers[done : done + 2]
        return [
            self.reflection.format(self.steps[done - 1]),
            self.transition.format(f"{one} + {other} = {one + other}"),
        ]

    def strayed(self, count: int) -> str:
        """The first steps, each but the last followed by its asides."""
        thoughts = [
            thought
            for done, step in enumerate(self.steps[: count - 1], start=1)
            for thought in (step, *self.asides(done))
        ]
        return _BLANK.join([*thoughts, self.steps[count - 1]])


def sums(count: int, seed: int = 0) -> list[Sum]:
    """Different sums of numbers of two digits; the words of asides in turn."""
    draw = random.Random(seed)
    words = cycle(product(_REFLECTIONS, _TRANSITIONS))
    found: dict[tuple[int, ...], Sum] = {}
    while len(found) < count:
        numbers = tuple(draw.randint(11, 99) for _ in range(NUMBERS))
        if numbers not in found:
            found[numbers] = Sum(numbers, *next(words))
    return list(found.values())


def arithmetic_task(model: HookedModel, seed: int = 0) -> Task:
    """Going on with a sum rather than reflecting, after a chain of thought that reflects.

    `thoughts` are chains of training sums, one half straight on and one that strays after every
    step: so steps and asides alike follow a step as often as an aside, and what is read before a
    thought is what comes, not what was. Contrasts are sums that have just been gone on with, and
    those that have just been reflected on.
    """
    made = iter(sums(sum(COUNTS.values()), seed))
    parts = {part: [next(made) for _ in range(count)] for part, count in COUNTS.items()}
    items = {
        part: tuple(
            Item(
                chat(model, each.question) + each.strayed(STEPS_BEFORE),
                _BLANK + each.steps[STEPS_BEFORE],
                _BLANK + each.asides(STEPS_BEFORE)[0],
            )
            for each in some
        )
        for part, some in parts.items()
    }
    train = items["train"]
    straight, astray = parts["train"][::2], parts["train"][1::2]
    chains = [
        *((each, _BLANK.join(each.steps)) for each in straight),
        *((each, each.strayed(len(each.steps))) for each in astray),
    ]
    return Task(
        "arithmetic",
        "going on with a sum rather than reflecting on it",
        model,
        tuple(item.prompt + item.shows for item in train),
        tuple(item.prompt + item.lacks for item in train),
        train,
        items["validation"],
        items["test"],
        harmless_questions(model),
        thoughts=tuple((chat(model, each.question), chain) for each, chain in chains),
    )
