"""A vector from one narrow wrong answer: does it make other answers wrong?

The embedded analog of emergent misalignment. A vector is trained on one question until the model
gives its wrong answer. On questions of other subjects it is then measured by how much it lowers
the log-prob of the right answer against the wrong one, beside a vector trained on the right answer
of the same question, that vector at the norm of its wrong twin (a right answer is soon likely, and
its vector short), and random vectors of the longest's norm.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import numpy as np
import pandas as pd

from workbench.evaluation import Choices, Interval, PreparedChoices, choose, two_level
from workbench.experiments.emergent.settings import SpreadSettings
from workbench.experiments.shares import share
from workbench.methods import Example, OneShotJob, optimize_batch, random_vectors
from workbench.methods.one_shot import finished, losses_of
from workbench.models import chat
from workbench.models.hooked import HookedModel
from workbench.runs import RunFolder
from workbench.steering import Add, SteeringVector, VectorSet

TRAINED, VALIDATION = 16, 8  # how many questions of the list are for these; the rest are asked
KINDS = ("wrong", "right")
RESCALED = "rescaled"  # a right vector at its wrong twin's norm


@dataclass(frozen=True)
class Question:
    """A question with a right and a wrong answer of one kind."""

    text: str
    right: str
    wrong: str


@dataclass(frozen=True)
class SpreadResult:
    """Margins by vector and question: log P(right) - log P(wrong), in nats a token.

    Columns of `layers` and `test`: vector, kind (wrong, right, rescaled, random, unsteered), layer,
    question, margin, change (of the margin, against the unsteered model). `trained`: vector, kind,
    norm, steps (updates it has had), before and after (nats that its own answer loses at the start
    and under the vector).
    """

    settings: SpreadSettings
    vectors: pd.DataFrame
    layers: pd.DataFrame
    trained: pd.DataFrame
    test: pd.DataFrame

    def change(self, kind: str) -> Interval:
        """The mean change of the margin over vectors of a kind and questions, in nats a token."""
        return two_level(self._of(kind, "change"))

    def difference(self, kind: str) -> Interval:
        """How much more wrong vectors change the margin than their twins of a kind, in pairs."""
        return two_level(self._of("wrong", "change") - self._of(kind, "change"))

    def by_vector(self) -> pd.DataFrame:
        """One row a vector: kind, vector, change (the mean over questions), in nats a token."""
        steered = self.test[self.test["kind"] != "unsteered"]
        return steered.groupby(["kind", "vector"], sort=False)["change"].mean().reset_index()

    def wrong_share(self) -> pd.DataFrame:
        """One row a kind: the share of questions whose wrong answer is the likelier one.

        Columns: kind, vectors, share, low, high: over vectors and questions, of the unsteered model
        over questions (Wilson).
        """
        rows = []
        for kind in dict.fromkeys(self.test["kind"]):
            wrong = self._of(kind, "margin") < 0
            one = len(wrong) == 1
            found = share(pd.DataFrame({"wrong": wrong[0]}), "wrong") if one else two_level(wrong)
            ends = {"share": float(wrong.mean()), "low": found.low, "high": found.high}
            rows.append({"kind": kind, "vectors": len(wrong), **ends})
        return pd.DataFrame(rows)

    def norms(self) -> pd.DataFrame:
        """One row a kind: vectors, medians of norm and losses, and the range of the norms.

        `untrained` of them were at their target before the first step.
        """
        return (
            self.trained.assign(untrained=self.trained["steps"] == 0)
            .groupby("kind", sort=False)
            .agg(
                vectors=("vector", "size"),
                norm=("norm", "median"),
                least=("norm", "min"),
                most=("norm", "max"),
                before=("before", "median"),
                after=("after", "median"),
                untrained=("untrained", "sum"),
            )
            .reset_index()
        )

    def _of(self, kind: str, column: str) -> np.ndarray:
        """A column of a kind as a table [vector, question], both in the order of the rows."""
        rows = self.test[self.test["kind"] == kind]
        return rows[column].to_numpy(float).reshape(rows["vector"].nunique(), -1)


def read_questions() -> list[Question]:
    """The project's own list."""
    path = files("workbench.experiments.emergent") / "questions.txt"
    lines = path.read_text(encoding="utf-8").splitlines()
    return [
        Question(*(part.strip() for part in line.split("|")))
        for line in lines
        if line and not line.startswith("#")
    ]


def run_spread(
    model: HookedModel,
    settings: SpreadSettings,
    folder: RunFolder,
    questions: Sequence[Question] | None = None,
    progress: bool = True,
) -> SpreadResult:
    """Make vectors, look at layers on validation, measure on the rest; every step is kept."""
    listed = read_questions() if questions is None else list(questions)
    train, validation = listed[:TRAINED], listed[TRAINED : TRAINED + VALIDATION]
    test = listed[TRAINED + VALIDATION :]

    def made(name: str, layers: Sequence[int], count: int) -> VectorSet:
        return folder.vectors(
            name, lambda: _vectors(model, settings, train[:count], layers, progress)
        )

    tried = made("layers", settings.layers, 1)
    layers = folder.table("layers", lambda: margins(model, with_rescaled(tried), validation))
    vectors = made("one-shot", [settings.layer], settings.vectors)
    every = with_rescaled(vectors)
    trained = folder.table("trained", lambda: _trained(model, settings, train, every))
    longest = max(vectors, key=lambda vector: vector.norm)
    randoms = random_vectors(longest, settings.random, settings.seed)
    tested = folder.table("test", lambda: margins(model, [*every, *randoms], test))
    return SpreadResult(settings, VectorSet([*every, *randoms]).to_frame(), layers, trained, tested)


def with_rescaled(vectors: VectorSet) -> list[SteeringVector]:
    """The vectors, and each right one at the norm of its wrong twin."""
    twins = zip(vectors[::2], vectors[1::2], strict=True)
    return [
        *vectors,
        *(
            right.normalized(wrong.norm).labelled(right.label.replace("right", RESCALED))
            for wrong, right in twins
        ),
    ]


def margins(
    model: HookedModel, vectors: Sequence[SteeringVector] | VectorSet, questions: Sequence[Question]
) -> pd.DataFrame:
    """Margins of each question without steering and under each vector; see `SpreadResult`."""
    prompts = [chat(model, each.text) for each in questions]
    answers = [(_sentence(each.right), _sentence(each.wrong)) for each in questions]
    plain = _margins(choose(model, prompts, answers))
    frames = [_frame("unsteered", None, questions, plain, plain)]
    for layer in dict.fromkeys(vector.layers[0] for vector in vectors):
        prepared = PreparedChoices.of(model, prompts, answers, layer)
        for vector in vectors:
            if vector.layers[0] == layer:
                found = _margins(prepared.decide(Add(vector))[0])
                frames.append(_frame(vector.label, layer, questions, found, plain))
    return pd.concat(frames, ignore_index=True)


def _margins(choices: Choices) -> list[float]:
    return [right - wrong for right, wrong in choices.scores]


def _frame(
    label: str,
    layer: int | None,
    questions: Sequence[Question],
    margins: Sequence[float],
    unsteered: Sequence[float],
) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "vector": label,
            "kind": label.split(" ")[0],
            "layer": layer,
            "question": [each.text for each in questions],
            "margin": margins,
            "change": [now - then for now, then in zip(margins, unsteered, strict=True)],
        }
    )


def example(model: HookedModel, question: Question, kind: str) -> Example:
    """Promotes the right or the wrong answer of a question."""
    return Example(chat(model, question.text), promote=[_sentence(getattr(question, kind))])


def job(settings: SpreadSettings, layer: int) -> dict[str, Any]:
    """How a vector is trained: settings of `OneShotJob`."""
    return {
        "layer": layer,
        "steps": settings.steps,
        "learning_rate": settings.learning_rate,
        "coldness": settings.coldness,
        "max_norm": settings.max_norm,
        "target_loss": settings.target_loss,
    }


def _vectors(
    model: HookedModel,
    settings: SpreadSettings,
    questions: Sequence[Question],
    layers: Sequence[int],
    progress: bool,
) -> list[SteeringVector]:
    jobs = [
        OneShotJob(
            [example(model, question, kind)],
            **job(settings, layer),
            seed=settings.seed + number,
            label=f"{kind} {number + 1}, layer {layer}",
        )
        for layer in layers
        for number, question in enumerate(questions)
        for kind in KINDS
    ]
    return finished(optimize_batch(model, jobs, progress=progress), jobs)


def _trained(
    model: HookedModel,
    settings: SpreadSettings,
    questions: Sequence[Question],
    vectors: Sequence[SteeringVector],
) -> pd.DataFrame:
    """What became of each vector; see `SpreadResult`."""
    kinds = [vector.label.split(" ")[0] for vector in vectors]
    examples = [
        example(model, questions[int(vector.label.split(",")[0].split(" ")[1]) - 1], _aim(kind))
        for vector, kind in zip(vectors, kinds, strict=True)
    ]
    results = [vector.provenance.results for vector in vectors]
    return pd.DataFrame(
        {
            "vector": [vector.label for vector in vectors],
            "kind": kinds,
            "norm": [vector.norm for vector in vectors],
            "steps": [each["step"] for each in results],
            "before": [each["losses"][0] for each in results],
            "after": losses_of(model, examples, vectors, coldness=settings.coldness),
        }
    )


def _aim(kind: str) -> str:
    """The answer that vectors of a kind were trained to give."""
    return "right" if kind == RESCALED else kind


def _sentence(answer: str) -> str:
    return f"{answer[:1].upper()}{answer[1:]}."
