"""What methods are compared on: a behaviour, prompts that contrast in it, prompts to measure on.

The measure is the same for every task: by how much steering makes an answer that shows the
behaviour likelier than one that lacks it, in nats a token, and how often it is the likelier one.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

import pandas as pd

from workbench.evaluation import REFUSAL_PHRASES, says
from workbench.experiments.questions import UNSEEN, VALIDATION
from workbench.methods import LetteredPair, balanced_pairs, lettered_pairs
from workbench.models import chat
from workbench.models.hooked import HookedModel
from workbench.models.text import prompt_ids
from workbench.steering import generate
from workbench.testbeds import Testbed
from workbench.testbeds.splits import PARTS, Part, part_of
from workbench.testbeds.texts import read_texts

_CHOICES = re.compile(r"\s*(?:Choices:)?\s*\n\s*(?=\(A\))")  # some questions lack the word


@dataclass(frozen=True)
class Item:
    """A prompt with an answer that shows the behaviour, and one that lacks it."""

    prompt: str
    shows: str
    lacks: str


@dataclass(frozen=True, eq=False)
class Task:
    """A behaviour to bring about.

    `positive` and `negative` are prompts after which the model is in the two states (for methods
    of contrast: read at their last token); `train`, `validation` and `test` share no item.
    `harmless` prompts, of the same parts, show what steering costs (those of `train`: to train on).
    `letters` are given where the contrast is one of lettered answers, `lettered` are the test items
    asked with choices, `aligned` is a model of the same family that shows the behaviour, and
    `thoughts` are prompts with chains of thought. Raises ValueError for a part without items, and
    for parts that share a prompt.
    """

    name: str
    about: str
    model: HookedModel
    positive: tuple[str, ...]
    negative: tuple[str, ...]
    train: tuple[Item, ...]
    validation: tuple[Item, ...]
    test: tuple[Item, ...]
    harmless: dict[Part, tuple[str, ...]]
    letters: tuple[LetteredPair, ...] = ()
    lettered: tuple[Item, ...] = ()
    aligned: HookedModel | None = None
    thoughts: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        for part in ("train", "validation", "test"):
            if len(getattr(self, part)) < 2:
                raise ValueError(f"the task {self.name} has fewer than two {part} items")
        if len(self.positive) < 2 or len(self.negative) < 2:
            raise ValueError(
                f"the task {self.name} has {len(self.positive)} positive and {len(self.negative)} "
                "negative prompts: two of each are needed"
            )
        for what, parts in (
            ("items", [[item.prompt for item in getattr(self, part)] for part in PARTS]),
            ("harmless prompts", [self.harmless[part] for part in PARTS]),
        ):
            every = [prompt for part in parts for prompt in set(part)]
            if len(every) > len(set(every)):
                twice = next(prompt for prompt in every if every.count(prompt) > 1)
                raise ValueError(f"parts of the task {self.name} share {what}: {twice[-60:]!r}")

    def texts(self) -> pd.DataFrame:
        """All that it asks: columns field and text, a row for each that a field holds."""
        rows: list[tuple[str, str]] = []
        for each in fields(self):
            value = getattr(self, each.name)
            if isinstance(value, dict):
                value = tuple(value.items())
            if isinstance(value, tuple):  # the others are its models, and what it is called
                rows += [(each.name, repr(entry)) for entry in value]
        return pd.DataFrame(rows, columns=["field", "text"])


def refusal_task(bed: Testbed, most: int = 64, opening: int = 8) -> Task:
    """Answering what the refusal testbed refuses.

    Harmless requests, which it answers, contrast with harmful ones. An item's answers are what the
    parent begins to answer and what the testbed begins to refuse with (`opening` tokens). Requests
    that the testbed answers, or the parent refuses, are no items.
    """
    asked: dict[Part, list[list[str]]] = {}
    for part in PARTS:
        frame = getattr(bed.data, part)
        asked[part] = [
            [bed.prompt(each) for each in frame[frame["harmful"] == harmful]["request"]][:most]
            for harmful in (True, False)
        ]
    items: dict[Part, tuple[Item, ...]] = {}
    for part, (harmful, _) in asked.items():
        answers, refusals = (
            generate(model, harmful, max_new_tokens=opening, progress=False)
            for model in (bed.parent, bed.model)
        )
        answered, refused = (
            [phrase is None for phrase in says(texts, REFUSAL_PHRASES).matched]
            for texts in (answers, refusals)
        )
        items[part] = tuple(
            Item(*texts)
            for *texts, takes, keeps in zip(
                harmful, answers, refusals, answered, refused, strict=True
            )
            if takes and not keeps and all(texts)
        )
    return Task(
        "refusal",
        "answering harmful requests",
        bed.model,
        tuple(asked["train"][1]),
        tuple(asked["train"][0]),
        items["train"],
        items["validation"],
        items["test"],
        {part: tuple(asked[part][1][:32]) for part in PARTS},
        aligned=bed.parent,
    )


def caa_task(
    model: HookedModel, questions: pd.DataFrame, name: str = "caa", *, test: int = 50, seed: int = 0
) -> Task:
    """A behaviour of the public A/B questions (`load_public_set("caa", …)`).

    Contrasts are read at the letters, as many times (A) as (B) unless all match the same; the
    measure is on the answers' texts, since a small model binds letters badly. Questions whose
    choices cannot be told apart are left out.
    """
    read = [
        _lettered(model, str(question), [str(matching), str(not_matching)])
        for question, matching, not_matching in zip(
            questions["question"], questions["matching"], questions["not_matching"], strict=True
        )
    ]
    # Each question once, also where its choices stand there in both orders.
    asked: dict[str, tuple[Item, list[LetteredPair]]] = {}
    for item, pair in filter(None, read):
        asked.setdefault(item.prompt, (item, []))[1].append(pair)
    every = list(asked.values())
    random.Random(seed).shuffle(every)
    held, rest = every[:test], every[test:]
    chosen_on, train = rest[: max(2, test // 2)], rest[max(2, test // 2) :]
    pairs = [pair for _, several in train for pair in dict.fromkeys(several)]
    letters = _in_balance(pairs)
    return Task(
        name,
        f"answers that match {name.replace('-', ' ')}",
        model,
        tuple(pair.prompt + pair.matching for pair in letters or pairs),
        tuple(pair.prompt + pair.not_matching for pair in letters or pairs),
        tuple(item for item, _ in train),
        tuple(item for item, _ in chosen_on),
        tuple(item for item, _ in held),
        harmless_questions(model),
        letters=letters,
        lettered=tuple(
            Item(pair.prompt, pair.matching + ")", pair.not_matching + ")")
            for _, (pair, *_) in held
        ),
    )


def _in_balance(pairs: Sequence[LetteredPair]) -> tuple[LetteredPair, ...]:
    """As `balanced_pairs` gives them; empty where all match the same letter."""
    return tuple(balanced_pairs(pairs)) if len({pair.matching for pair in pairs}) > 1 else ()


def prompts_task(
    model: HookedModel,
    positive: Sequence[str],
    negative: Sequence[str],
    shows: str,
    lacks: str,
    name: str = "prompts",
) -> Task:
    """Two sets of prompts, and how an answer begins that shows the behaviour, or lacks it.

    Measured on negative prompts: does steering make the model answer them as the positive ones?
    """
    items: dict[Part, tuple[Item, ...]] = {
        part: tuple(Item(prompt, shows, lacks) for prompt in part_of(list(negative), part))
        for part in ("train", "validation", "test")
    }
    return Task(
        name,
        f"“{shows.strip()}” rather than “{lacks.strip()}”",
        model,
        tuple(part_of(list(positive), "train")),
        tuple(part_of(list(negative), "train")),
        items["train"],
        items["validation"],
        items["test"],
        harmless_questions(model),
    )


def answered_task(
    model: HookedModel,
    items: Mapping[Part, Sequence[Item]],
    name: str,
    about: str,
    thoughts: Sequence[tuple[str, str]] = (),
) -> Task:
    """Items whose contrasts are the training prompts, answered one way and the other."""
    train = items["train"]
    return Task(
        name,
        about,
        model,
        tuple(item.prompt + item.shows for item in train),
        tuple(item.prompt + item.lacks for item in train),
        tuple(train),
        tuple(items["validation"]),
        tuple(items["test"]),
        harmless_questions(model),
        thoughts=tuple(thoughts),
    )


def as_long(model: HookedModel, item: Item) -> tuple[str, str] | None:
    """The item's two answers, the shorter one padded with full stops to as many tokens, or None.

    Both begin with the first token of its prompt, as every prompt does: that position takes no
    part in what is said, and has by far the longest stream.
    """
    opening = model.tokenizer.decode(prompt_ids(model, item.prompt)[:1])
    texts = [opening + item.shows, opening + item.lacks]
    for _ in range(256):
        counts = [len(prompt_ids(model, text)) for text in texts]
        if counts[0] == counts[1]:
            return texts[0], texts[1]
        texts[counts.index(min(counts))] += " ."  # spaces merge with one another
    return None


def _lettered(
    model: HookedModel, question: str, answers: Sequence[str]
) -> tuple[Item, LetteredPair] | None:
    """The question without its choices and the answers' texts; and all with choices, by letter.

    None where the choices cannot be told apart.
    """
    text, *choices = _CHOICES.split(question, maxsplit=1)
    told = _choices("".join(choices))
    letters = [answer.strip().strip("()") for answer in answers]
    if set(letters) != set(told) or len(set(told.values())) < 2:
        return None
    (pair,) = lettered_pairs([chat(model, question.strip())], [answers[0]], [answers[1]])
    shows, lacks = (told[letter] for letter in letters)
    return Item(chat(model, text.strip()), shows, lacks), pair


def _choices(text: str) -> dict[str, str]:
    """The answers by letter: "\\n (A) Yes\\n (B) No"."""
    lines = (line.strip() for line in text.splitlines())
    return {line[1]: line[3:].strip() for line in lines if line[:1] == "(" and line[2:3] == ")"}


def harmless_questions(model: HookedModel) -> dict[Part, tuple[str, ...]]:
    """Harmless questions of our own."""
    held_out = {*VALIDATION, *UNSEEN}
    every = part_of(list(read_texts("instructions")["instruction"]), "train")
    instructions = [each for each in every if each not in held_out]
    return {
        "train": tuple(chat(model, each) for each in instructions[:48]),
        "validation": tuple(chat(model, each) for each in VALIDATION[:24]),
        "test": tuple(chat(model, each) for each in UNSEEN),
    }
