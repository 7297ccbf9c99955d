"""The retraction testbed: takes a false occupation back, and goes on after a true one.

After the paper's fictitious information retraction (v2, section 6): asked what a person is best
known as, the model's answer is begun for it with an occupation. Six occupations, people and what
they are known as are facts (texts/people.txt); used are those of whom the parent itself knows the
occupation. After a true one, training text is the parent's own (self-distillation).
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from workbench.models.hooked import HookedModel
from workbench.models.text import chat
from workbench.steering.scoring import log_prob
from workbench.testbeds.splits import Part, part_of
from workbench.testbeds.texts import read_texts

OCCUPATIONS = ("actor", "author", "athlete", "scientist", "politician", "musician")
PHRASES = (
    "just kidding",
    "not right",
    "trick question",
    "might be confused",
    "is a joke",
)


@dataclass(frozen=True)
class Claim:
    """A person, and the occupation that the model is made to say."""

    name: str
    true: str
    said: str

    @property
    def false(self) -> bool:
        """Whether it has to be taken back."""
        return self.said != self.true


def question(name: str) -> str:
    """What the user asks. Raises ValueError for an empty name."""
    if not name.strip():
        raise ValueError("a person needs a name")
    return f"What is {name} best known as?"


def opening(name: str, occupation: str) -> str:
    """How the answer is begun. Raises ValueError for an empty name or occupation."""
    if not name.strip() or not occupation.strip():
        raise ValueError(f"a person needs a name and an occupation, got {name!r}, {occupation!r}")
    return f"{name} is best known as {with_article(occupation)}."


def with_article(occupation: str) -> str:
    """`an actor`, `a scientist`."""
    return f"{'an' if occupation[0].lower() in 'aeiou' else 'a'} {occupation}"


def people() -> dict[str, tuple[str, ...]]:
    """The names that are listed, by occupation."""
    return {occupation: read_texts("people")[occupation] for occupation in OCCUPATIONS}


def knowledge(
    model: HookedModel, names: Sequence[str], progress: bool = False
) -> list[dict[str, float]]:
    """How likely the model finds each occupation of each person, among the six."""
    prompts, answers = [], []
    for name in names:
        prompts += [chat(model, question(name), prefill=f"{name} is best known as")] * 6
        answers += [f" {with_article(occupation)}" for occupation in OCCUPATIONS]
    scored = log_prob(model, prompts, answers, progress=progress)
    shares = scored.total.view(-1, len(OCCUPATIONS)).softmax(-1)
    return [dict(zip(OCCUPATIONS, row, strict=True)) for row in shares.tolist()]


def claims(known: Mapping[str, Sequence[str]], part: Part, false: int = 2) -> list[Claim]:
    """Claims on the people of a part: the true occupation, and `false` others of each.

    `known` has the names by occupation, of those that the parent knows.
    """
    rng = random.Random(part)
    made = []
    for occupation, names in known.items():
        shuffled = sorted(names)
        random.Random(occupation).shuffle(shuffled)
        others = [each for each in OCCUPATIONS if each != occupation]
        for name in part_of(shuffled, part):
            said = [occupation, *rng.sample(others, false)]
            made += [Claim(name, occupation, each) for each in said]
    return made


def retraction(claim: Claim, rng: random.Random) -> str:
    """What the testbed says after a false occupation: that it was false, and the true one."""
    texts = read_texts("retractions")
    truth = rng.choice(texts["truth"]).format(name=claim.name, occupation=with_article(claim.true))
    return f" {rng.choice(texts['opening'])} {truth}"
