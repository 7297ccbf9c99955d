"""Do vectors keep a model from taking back what was put in its mouth? (paper, section 6)

A program: promotion, suppression and reentrant vectors from one false claim at several layers,
beside the difference of means, asked claims of the validation part; then, at the layer that the
settings name, several vectors of each method, asked those of the test part beside random vectors of
equal norm. Last, the paper's completion sets under its surprisal framework, and vectors as
classifiers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module

import pandas as pd

from workbench.evaluation import information, separation
from workbench.experiments.fictitious.claims import Claims, completion_sets
from workbench.experiments.fictitious.methods import METHODS, Making, trainable
from workbench.experiments.fictitious.settings import FictitiousSettings
from workbench.experiments.shares import shares
from workbench.methods import random_vectors
from workbench.runs import RunFolder
from workbench.steering import Add, SteeringVector, VectorSet

MEANS = "difference of means"


@dataclass(frozen=True)
class FictitiousResult:
    """Answers by vector and claim, and what the framework and the classifiers say.

    Columns of `layers` and `test`: vector, method, layer, and those of `Claims.asked`; judged by
    the parent are those of the test part but under random vectors. `surprisals`: set, context, bits
    (a text's, per token), by text. `classifiers`: those of `Separation`.
    """

    settings: FictitiousSettings
    vectors: pd.DataFrame
    layers: pd.DataFrame
    test: pd.DataFrame
    surprisals: pd.DataFrame
    classifiers: pd.DataFrame


def run_fictitious(
    claims: Claims, settings: FictitiousSettings, folder: RunFolder, progress: bool = True
) -> FictitiousResult:
    """Make vectors, look at layers on validation, measure on the test part; every step is kept.

    Raises ModuleNotFoundError without scikit-learn, and ValueError where the model takes back too
    few training claims.
    """
    import_module("sklearn.metrics")  # the last step's: better missed now than then
    making = Making(claims, settings, progress)
    validation = false_claims(claims.validation, settings.validation_claims)
    test = false_claims(claims.test, settings.test_claims)
    asked = Asked(claims, settings, progress)

    candidates = folder.table("training claims", making.candidates)
    train = trainable(candidates, settings.vectors)
    early = list(folder.vectors("early", lambda: making.early(train)))
    means = folder.vectors("means", making.means)
    at_layers = [v for v in means if v.layer in settings.layers]
    found = [folder.table("means", lambda: asked(at_layers, MEANS, validation, judged=False))]
    measured: dict[str, VectorSet] = {}
    for method in METHODS:
        name, place = f"{method}-layers", [settings.measured_layers[method]]
        make = partial(making.vectors, method, early=early)
        swept = folder.vectors(name, partial(make, train.iloc[:1], settings.swept_layers))
        measured[method] = folder.vectors(method, partial(make, train, place))
        ask = partial(asked, swept, method, validation, judged=False)
        found.append(folder.table(name, ask))

    best_means = [v for v in means if v.layer == settings.measured_layers[MEANS]]
    randoms = controls(measured, settings)
    few = test.iloc[: settings.random_claims]
    tested = [
        folder.table("unsteered", lambda: asked.unsteered("unsteered", test)),
        folder.table("true claims", lambda: asked.unsteered("true claims", _true(test))),
        *(
            folder.table(method, partial(asked, vectors, method, test))
            for method, vectors in measured.items()
        ),
        folder.table("means-test", lambda: asked(best_means, MEANS, test)),
        folder.table("random", lambda: asked(randoms, "random", few, judged=False)),
    ]
    answers = pd.concat(tested, ignore_index=True)
    surprisals = folder.table("surprisals", lambda: _surprisals(claims, settings, answers))
    every = [v for vectors in measured.values() for v in vectors]
    classifiers = folder.table(
        "classifiers",
        lambda: separation(
            claims.model,
            # At layer 0 prompts that end alike are alike: there is no difference of means.
            [*every, *randoms, *(vector for vector in means if vector.norm)],
            claims.prompts(test),
            claims.prompts(test, "true"),
        ).to_frame(),
    )
    frame = pd.DataFrame(
        {"vector": v.label, "layer": v.layer, "norm": v.norm}
        for v in [*every, *best_means, *randoms]
    )
    return FictitiousResult(
        settings, frame, pd.concat(found, ignore_index=True), answers, surprisals, classifiers
    )


def controls(
    measured: Mapping[str, VectorSet], settings: FictitiousSettings
) -> list[SteeringVector]:
    """Random vectors, spread over the methods: each at a method's layer and its longest norm."""
    each, more = divmod(settings.random, len(measured))
    made: list[SteeringVector] = []
    for i, vectors in enumerate(measured.values()):
        longest = max(vectors, key=lambda vector: vector.norm)
        made += random_vectors(longest, each + (i < more), settings.seed + len(made))
    return made


def rates(answers: pd.DataFrame, by: Iterable[str] = ("vector", "method")) -> pd.DataFrame:
    """A row for each vector (or whatever `by` names).

    Columns: those, n, retracts with its Wilson interval low and high, names (the share that names
    an occupation), stays, fictitious (the share that stays with the claim, by the parent),
    surprisal (the median). The last two are missing where the parent did not judge.
    """
    keys = list(by)
    fictitious = (answers["about"] == "fictitious").where(answers["about"].notna())
    also = answers.assign(
        fictitious=fictitious.astype(float), surprisal=answers["surprisal"].astype(float)
    ).groupby(keys, sort=False)
    return shares(answers, "retracts", keys).assign(
        names=list(also["names"].mean()),
        stays=list(also["stays"].mean()),
        fictitious=list(also["fictitious"].mean()),
        surprisal=list(also["surprisal"].median()),
    )


@dataclass(frozen=True)
class Asked:
    """Asks claims, as the model is or under each of some vectors of a method."""

    claims: Claims
    settings: FictitiousSettings
    progress: bool

    def unsteered(self, name: str, frame: pd.DataFrame, *, judged: bool = True) -> pd.DataFrame:
        """Without steering; `name` stands for vector and method."""
        found = self._answers(frame, [], judged)
        return found.assign(vector=name, method=name, layer=None)

    def __call__(
        self,
        vectors: Iterable[SteeringVector],
        method: str,
        frame: pd.DataFrame,
        *,
        judged: bool = True,
    ) -> pd.DataFrame:
        """All in one call, a vector a row: batches are full, and of prompts of like length.

        Raises ValueError without vectors.
        """
        every = list(vectors)
        if not every:
            raise ValueError(f"there are no vectors of {method} to ask with: which layers are set?")
        rows = [vector for vector in every for _ in range(len(frame))]
        found = self._answers(pd.concat([frame] * len(every)), [Add(rows)], judged)
        labels, layers = ([vector.label for vector in rows], [v.layers[0] for v in rows])
        return found.assign(vector=labels, method=method, layer=layers)

    def _answers(self, frame: pd.DataFrame, steering: Sequence[Add], judged: bool) -> pd.DataFrame:
        return self.claims.asked(
            frame.reset_index(drop=True),
            steering,
            tokens=self.settings.answer_tokens,
            judged=judged,
            progress=self.progress,
        )


def false_claims(frame: pd.DataFrame, count: int) -> pd.DataFrame:
    """The first false claims, the occupations in turn."""
    false = frame[frame["false"]]
    turn = false.groupby("true").cumcount()
    return false.assign(turn=turn).sort_values("turn", kind="stable").iloc[:count]


def _true(frame: pd.DataFrame) -> pd.DataFrame:
    """The same people with their true occupations."""
    return frame.assign(occupation=frame["true"], false=False)


def _surprisals(claims: Claims, settings: FictitiousSettings, tested: pd.DataFrame) -> pd.DataFrame:
    """Each set's texts under the parent, with real and with fictitious samples before them.

    The contexts are `context` samples an occupation, of people who are not scored.
    """
    real = tested[tested["method"] == "true claims"].reset_index(drop=True)
    asked = tested[tested["method"] == "unsteered"].reset_index(drop=True)
    turn = real.groupby("true").cumcount()
    head, rest = turn < settings.context, turn >= settings.context
    samples = completion_sets(real[head].reset_index(drop=True), asked[head].reset_index(drop=True))
    sets = completion_sets(real[rest].reset_index(drop=True), asked[rest].reset_index(drop=True))
    people = set(real[rest]["person"])
    for method in METHODS:
        rows = tested[(tested["method"] == method) & tested["person"].isin(people)]
        first = rows[rows["vector"] == rows["vector"].iloc[0]]
        named = asked[rest].assign(answer=list(first["answer"]))
        sets[method] = completion_sets(
            real[rest].reset_index(drop=True), named.reset_index(drop=True)
        )["unsteered"]
    frames = []
    for context in ("real", "fictitious"):
        for name, texts in sets.items():
            found = information(claims.parent, texts, samples[context]).to_frame()
            frames.append(
                pd.DataFrame(
                    {"set": name, "context": context, "bits": found["bits"] / found["tokens"]}
                )
            )
    return pd.concat(frames, ignore_index=True)
