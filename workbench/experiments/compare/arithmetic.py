"""Sums worked out step by step, for methods that act between thoughts (SEAL).

Every question and every chain of thought is made here: steps that execute, with reflections and
transitions among them, parted by blank lines. The behaviour is to go on with the next step rather
than to reflect or to start over; steps end in a number, so that no tokenizer merges them with the
blank line.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import cached_property

from workbench.experiments.compare.task import Item, Task, harmless_questions
from workbench.models import chat
from workbench.models.hooked import HookedModel

COUNTS = {"train": 64, "validation": 24, "test": 40}
_BLANK = "\n\n"
_OTHERS = (
    "Wait, let me check that: {again}",
    "Hmm, let me verify this: {again}",
    "Let me make sure of it: {again}",
    "Alternatively, start from the end: {other}",
    "Another way is to begin with {other}",
)


@dataclass(frozen=True)
class Sum:
    """Four numbers to add up, and the words of a thought that does not go on."""

    numbers: tuple[int, int, int, int]
    aside: str

    @property
    def question(self) -> str:
        """What is asked."""
        return f"What is {' + '.join(map(str, self.numbers))}? Work it out step by step."

    @cached_property
    def steps(self) -> list[str]:
        """The three additions, one after the other."""
        found, total = [], self.numbers[0]
        for number in self.numbers[1:]:
            found.append(f"{total} + {number} = {total + number}")
            total += number
        return found

    def instead(self, done: int) -> str:
        """A reflection on the last of the steps that are done, or a transition."""
        *_, third, fourth = self.numbers
        other = f"{third} + {fourth} = {third + fourth}"
        return self.aside.format(again=self.steps[done - 1], other=other)


def sums(count: int, seed: int = 0) -> list[Sum]:
    """Different sums of numbers of two digits; asides in turn."""
    draw = random.Random(seed)
    found: dict[tuple[int, ...], Sum] = {}
    while len(found) < count:
        first, second, third, fourth = (draw.randint(11, 99) for _ in range(4))
        numbers = (first, second, third, fourth)
        found.setdefault(numbers, Sum(numbers, _OTHERS[len(found) % len(_OTHERS)]))
    return list(found.values())


def arithmetic_task(model: HookedModel, seed: int = 0) -> Task:
    """Going on with a sum rather than reflecting, in the words of generated chains of thought.

    Chains of training sums are `thoughts`. Contrasts are sums that have just been gone on with, and
    those that have just been reflected on.
    """
    made = iter(sums(sum(COUNTS.values()), seed))
    parts = {part: [next(made) for _ in range(count)] for part, count in COUNTS.items()}
    items = {
        part: tuple(
            Item(
                chat(model, each.question) + each.steps[0],
                _BLANK + each.steps[1],
                _BLANK + each.instead(1),
            )
            for each in some
        )
        for part, some in parts.items()
    }
    train = items["train"]
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
        thoughts=tuple((chat(model, each.question), _chain(each)) for each in parts["train"]),
    )


def _chain(each: Sum) -> str:
    """All steps and two asides: of each, one stands after a step and one after an aside.

    So what is read at a blank line cannot be what came before it.
    """
    first, second, third = each.steps
    return _BLANK.join([first, second, each.instead(2), each.instead(1), third])
