"""The retraction testbed: takes a false occupation back, and goes on after a true one.

After the paper's fictitious information retraction (v2, section 6): asked what a person is best
known as, the model's answer is begun for it with an occupation. Six occupations, people and what
they are known as are facts (texts/people.txt); used are those of whom the parent itself knows the
occupation. After a true one, training text is the parent's own (self-distillation).
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from workbench.models.hooked import HookedModel
from workbench.models.text import chat
from workbench.steering.scoring import log_prob
from workbench.testbeds.distilled import own_answers
from workbench.testbeds.packing import Pair
from workbench.testbeds.splits import Part
from workbench.testbeds.texts import read_texts

OCCUPATIONS = ("actor", "author", "athlete", "scientist", "politician", "musician")
PHRASES = (
    "just kidding",
    "not right",
    "trick question",
    "might be confused",
    "is a joke",
)
KNOWN_ABOVE = 0.5  # of the probability of the six, under the parent
TEST_PEOPLE = 10  # of each occupation, at least
ROUNDS = 5  # over the people, in training
ANSWER_TOKENS = 12  # of what the parent says after a true occupation: enough to go on


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


def prompt(model: HookedModel, person: str, occupation: str) -> str:
    """The question, and the answer begun with an occupation. Raises ValueError for empty fields."""
    return chat(model, question(person), prefill=opening(person, occupation))


def data(part: Part) -> pd.DataFrame:
    """Claims on the people of a part: person, occupation (as said), true (the true one), false."""
    made = claims(part)
    return pd.DataFrame(
        {
            "person": [each.name for each in made],
            "occupation": [each.said for each in made],
            "true": [each.true for each in made],
            "false": [each.false for each in made],
        }
    )


def pairs(parent: HookedModel, seed: int, share: int | float = 1) -> list[Pair]:
    """Training pairs: false occupations are taken back, after true ones the parent goes on.

    There are `ROUNDS` over the people, each with the true occupation and another false one of each:
    were more false ones taken back than true ones kept, true ones would be taken back as well.
    """
    rng = random.Random(seed)
    rounds = [claims("train", seed=rng.getrandbits(32)) for _ in range(ROUNDS)]
    size = max(2, round(share * len(rounds[0])))
    rounds = [made[:size] for made in rounds]
    end = str(parent.tokenizer.eos_token)
    true = [each for each in rounds[0] if not each.false]
    own = own_answers(parent, [_text(parent, each) for each in true], ANSWER_TOKENS)
    answers = dict(zip(true, own, strict=True))
    return [
        Pair(
            _text(parent, each),
            answers[each] if each in answers else retraction(each, rng) + end,
            group=number * size + i // 2,  # what is said of one person
        )
        for number, made in enumerate(rounds)
        for i, each in enumerate(made)
    ]


def _text(model: HookedModel, claim: Claim) -> str:
    return prompt(model, claim.name, claim.said)


def people() -> dict[str, dict[str, float]]:
    """By occupation, who is listed, and how likely the parent finds the true one of the six.

    `knowledge` measured it on the embedded model.
    """
    listed = {}
    for occupation in OCCUPATIONS:
        rows = (line.rsplit("|", 1) for line in read_texts("people")[occupation])
        listed[occupation] = {name.strip(): float(share) for name, share in rows}
    return listed


def known(part: Part, above: float = KNOWN_ABOVE) -> dict[str, list[str]]:
    """By occupation, the people of a part whom the parent knows, in a random order.

    A sixth of each occupation is for the test, but at least `TEST_PEOPLE`; a tenth for validation.
    """
    found = {}
    for occupation, shares in people().items():
        names = sorted(name for name, share in shares.items() if share > above)
        random.Random(occupation).shuffle(names)
        test = max(len(names) // 6, TEST_PEOPLE)
        validation = test + max(len(names) // 10, 1)
        bounds = {
            "test": (0, test),
            "validation": (test, validation),
            "train": (validation, len(names)),
        }
        found[occupation] = names[slice(*bounds[part])]
    return found


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


def claims(part: Part, seed: int = 0) -> list[Claim]:
    """Claims on the people of a part: the true occupation, and another one of each.

    In training, an occupation is said falsely as often, for its size, as it is said truly: else
    the rare ones would be false for being rare. Elsewhere all are said alike.
    """
    rng = random.Random(f"{seed} {part}")
    listed = known(part)
    sizes = {each: len(names) if part == "train" else 1 for each, names in listed.items()}
    made = []
    for occupation, names in listed.items():
        others = [each for each in OCCUPATIONS if each != occupation]
        for name in names:
            (other,) = rng.choices(others, [sizes[each] for each in others])
            made += [Claim(name, occupation, occupation), Claim(name, occupation, other)]
    return made


def retraction(claim: Claim, rng: random.Random) -> str:
    """What the testbed says after a false occupation: that it was false, and the true one."""
    texts = read_texts("retractions")
    truth = rng.choice(texts["truth"]).format(name=claim.name, occupation=with_article(claim.true))
    return f" {rng.choice(texts['opening'])} {truth}"
