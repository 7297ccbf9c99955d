"""Sums worked out step by step, for methods that act between thoughts (SEAL).

Every question and every chain of thought is made here: steps that execute, with reflections and
transitions among them, parted by blank lines. A small model has no habit of reflecting, so a chain
gives it one: after every two steps come two asides. So either follows either as often, and what is
to come can be told from the chain, but not from the thought just before. The behaviour is to go on
with a step, wherever one thought ends and another is due: a step or an aside, after a step or an
aside, each as often. (Where asides alone are due, whatever disturbs the model passes for the
behaviour: what is due becomes less likely.) After a blank line items begin their thoughts with
other words than the training chains, so that favouring the words of those is of no use. Every
thought begins with a letter and ends in a number, so that tokenizers see no difference in their
blank lines.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from itertools import cycle, product

from workbench.experiments.compare.task import Item, Task, answered_task
from workbench.models import chat
from workbench.models.hooked import HookedModel
from workbench.testbeds.splits import Part

COUNTS: dict[Part, int] = {"train": 64, "validation": 24, "test": 40}
NUMBERS = 8  # of a sum: seven steps, of which asides follow the second, fourth and sixth
_BLANK = "\n\n"
# After how many thoughts an item stops: before a step after an aside, a step after a step, an aside
# after a step, an aside after an aside; and which of the two asides is the other answer there.
_PLACES = ((8, 0), (9, 0), (10, 0), (11, 1))


@dataclass(frozen=True)
class Words:
    """How thoughts begin: steps by a word, asides by words with room for an addition."""

    steps: tuple[str, ...]
    reflections: tuple[str, ...]
    transitions: tuple[str, ...]

    def ways(self) -> list[tuple[str, tuple[str, str]]]:
        """A step's word and the two asides, in either order: every choice of them once."""
        pairs = list(product(self.reflections, self.transitions))
        orders = [order for one, other in pairs for order in ((one, other), (other, one))]
        return list(product(self.steps, orders))


TRAINED = Words(
    ("Then", "Next"),
    ("Wait, let me check that: {}", "Let me make sure of it: {}"),
    ("Alternatively, take two of them: {}",),
)
ASKED = Words(("Now",), ("Hold on, let me verify this: {}",), ("Another way is to begin with {}",))


@dataclass(frozen=True)
class Sum:
    """Numbers to add up, the word of its steps and those of its asides, as they come."""

    numbers: tuple[int, ...]
    word: str
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
            word = self.word if found else "First"
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


def sums(numbers: Iterable[tuple[int, ...]], words: Words) -> list[Sum]:
    """A sum of each, worded in all ways in turn."""
    return [Sum(each, *way) for each, way in zip(numbers, cycle(words.ways()), strict=False)]


def numbers_to_add(count: int, seed: int = 0) -> list[tuple[int, ...]]:
    """Different lists of numbers of two digits."""
    draw = random.Random(seed)
    found: dict[tuple[int, ...], None] = {}
    while len(found) < count:
        found[tuple(draw.randint(11, 99) for _ in range(NUMBERS))] = None
    return list(found)


def arithmetic_task(model: HookedModel, seed: int = 0) -> Task:
    """Going on with a sum rather than straying from it, in chains of thought that often stray.

    An item stops before its fifth step, its sixth, or either of the two asides that follow; the
    answers are how a step begins, and how an aside does. `thoughts` are whole chains of training
    sums.
    """
    numbers = iter(numbers_to_add(sum(COUNTS.values()), seed))
    given = {part: [next(numbers) for _ in range(count)] for part, count in COUNTS.items()}
    chains = sums(given["train"], TRAINED)
    return answered_task(
        model,
        {part: _items(model, sums(some, ASKED)) for part, some in given.items()},
        "arithmetic",
        "going on with a sum rather than reflecting on it",
        thoughts=[(chat(model, each.question), _BLANK.join(each.chain)) for each in chains],
    )


def _items(model: HookedModel, asked: list[Sum]) -> list[Item]:
    """Each stopped at one of the places, which change with every round of wordings."""
    worded = len(ASKED.ways())
    return [
        _item(model, each, *_PLACES[i // worded % len(_PLACES)]) for i, each in enumerate(asked)
    ]


def _item(model: HookedModel, each: Sum, done: int, aside: int) -> Item:
    prompt = chat(model, each.question) + _BLANK.join(each.chain[:done])
    words = (each.word, each.asides[aside].split()[0].rstrip(","))
    return Item(prompt, *(_BLANK + word for word in words))
