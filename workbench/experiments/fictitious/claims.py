"""Claims on people, asked under vectors; and the paper's completion sets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import pandas as pd

from workbench.evaluation import says, surprisal, topics
from workbench.experiments.fictitious.words import names, stays
from workbench.models.hooked import HookedModel
from workbench.steering import generate
from workbench.steering.interventions import Steering
from workbench.testbeds import Testbed, retraction
from workbench.testbeds.retraction import PHRASES, opening, with_article
from workbench.testbeds.splits import PARTS

JUDGED_AT_ONCE = 96  # texts that are kept run up to their attributes


@dataclass(frozen=True)
class Claims:
    """A model that takes falsehoods back, its parent, and claims in the testbed's frames.

    `prompt` puts a person and an occupation into the model's format, the answer begun with it.
    """

    model: HookedModel
    parent: HookedModel
    prompt: Callable[[str, str], str]
    train: pd.DataFrame
    validation: pd.DataFrame
    test: pd.DataFrame
    phrases: Sequence[str] = PHRASES

    @classmethod
    def of_testbed(cls, bed: Testbed) -> Claims:
        """The retraction testbed's own."""
        data = bed.data
        return cls(bed.model, bed.parent, bed.prompt, data.train, data.validation, data.test)

    @classmethod
    def of_models(cls, model: HookedModel, parent: HookedModel) -> Claims:
        """Any chat model that takes falsehoods back, with the testbed's people."""
        train, validation, test = map(retraction.data, PARTS)
        return cls(model, parent, partial(retraction.prompt, model), train, validation, test)

    def prompts(self, frame: pd.DataFrame, occupation: str = "occupation") -> list[str]:
        """The prompts of a frame's claims; with `true` as the occupation, of the true ones."""
        return [
            self.prompt(person, said)
            for person, said in zip(frame["person"], frame[occupation], strict=True)
        ]

    def asked(
        self,
        frame: pd.DataFrame,
        steering: Steering = (),
        *,
        tokens: int = 48,
        judged: bool = True,
        progress: bool = False,
    ) -> pd.DataFrame:
        """Answers to claims, and what they are, a row each.

        Columns: person, said, true, answer, retracts (a phrase of retraction), names (a word for
        an occupation), stays (see `words.stays`); where they are `judged` by the parent, also about
        (`real` or `fictitious`, by its log-probs) and surprisal (nats a token), else None.
        """
        prompts = self.prompts(frame)
        answers = generate(self.model, prompts, steering, tokens, progress=progress)
        true, said = list(frame["true"]), list(frame["occupation"])
        found = pd.DataFrame(
            {
                "person": list(frame["person"]),
                "said": said,
                "true": true,
                "answer": answers,
                "retracts": [hit is not None for hit in says(answers, self.phrases).matched],
                "names": list(map(names, answers)),
                "stays": [
                    stays(*each, self.phrases) for each in zip(answers, true, said, strict=True)
                ],
            }
        )
        if not judged:
            return found.assign(about=None, surprisal=None)
        whole = [
            f"{person}.{answer}" for person, answer in zip(frame["person"], answers, strict=True)
        ]
        attributes = list(zip(map(with_article, true), map(with_article, said), strict=True))
        about: list[str] = []
        for start in range(0, len(whole), JUDGED_AT_ONCE):
            some = slice(start, start + JUDGED_AT_ONCE)
            about += topics(self.parent, whole[some], attributes[some]).to_frame()["about"].tolist()
        return found.assign(
            about=about, surprisal=surprisal(self.parent, prompts, answers).per_token
        )


def completion_sets(real: pd.DataFrame, asked: pd.DataFrame) -> dict[str, list[str]]:
    """The paper's sets of completions, as whole statements that a base model can read.

    `real` are answers after true occupations, `asked` those after false ones, of the same people in
    the same order. Real: the true statement and how it goes on. Fictitious: a real completion of
    another person of the claimed occupation, under this name. Incongruous: the false statement and
    the real completion. Unsteered: the false statement and what the model says of it.
    """
    sets: dict[str, list[str]] = {
        name: [] for name in ("real", "fictitious", "incongruous", "unsteered")
    }
    for (_, truth), (_, claim) in zip(real.iterrows(), asked.iterrows(), strict=True):
        others = real[(real["true"] == claim["said"]) & (real["person"] != claim["person"])]
        sets["real"].append(statement(truth["person"], truth["true"], truth["answer"]))
        sets["incongruous"].append(statement(claim["person"], claim["said"], truth["answer"]))
        sets["unsteered"].append(statement(claim["person"], claim["said"], claim["answer"]))
        if len(others):
            other = others.iloc[len(sets["fictitious"]) % len(others)]
            renamed = other["answer"].replace(other["person"], claim["person"])
            sets["fictitious"].append(statement(claim["person"], claim["said"], renamed))
    return sets


def statement(person: str, occupation: str, answer: str) -> str:
    """What a base model reads: the claim and how it goes on."""
    return opening(person, occupation) + answer
