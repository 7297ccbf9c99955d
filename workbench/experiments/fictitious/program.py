"""Do vectors keep a model from taking back what was put in its mouth? (paper, section 6)

A program: promotion, suppression and reentrant vectors from one false claim at every layer, beside
the difference of means, asked claims of the validation part; then, at the layer that was chosen
there, several vectors of each method, asked those of the test part beside random vectors of equal
norm. Last, the paper's completion sets under its surprisal framework, and vectors as classifiers.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import pandas as pd

from workbench.evaluation import information, separation
from workbench.experiments.fictitious.claims import Claims, completion_sets
from workbench.experiments.fictitious.methods import METHODS, Making
from workbench.experiments.fictitious.settings import FictitiousSettings
from workbench.experiments.shares import shares
from workbench.methods import random_vectors
from workbench.runs import RunFolder
from workbench.steering import Add, SteeringVector, VectorSet

MEANS = "difference of means"


@dataclass(frozen=True)
class FictitiousResult:
    """Answers by vector and claim, and what the framework and the classifiers say.

    Columns of `layers` and `test`: vector, method, layer, and those of `Claims.asked`.
    `surprisals`: set, context, bits (a text's, per token), by text. `classifiers`: those of
    `Separation`, with method.
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
    """Make vectors, look at layers on validation, measure on the test part; every step is kept."""
    making = Making(claims, settings)
    train = making.train()
    validation = false_claims(claims.validation, settings.validation_claims)
    test = false_claims(claims.test, settings.test_claims)
    asked = Asked(claims, settings, progress)

    def one_shot(
        name: str, method: str, layer: int, count: int, frame: pd.DataFrame
    ) -> tuple[VectorSet, pd.DataFrame]:
        """Vectors of a method from the first `count` claims, and what is said under them."""

        def made() -> list[SteeringVector]:
            seeds = range(settings.seed, settings.seed + count)
            return [
                METHODS[method](making, claim, layer, seed).labelled(
                    f"{method} {i + 1}, layer {layer}"
                )
                for i, (seed, (_, claim)) in enumerate(zip(seeds, train.iterrows(), strict=False))
            ]

        vectors = folder.vectors(name, made)
        return vectors, folder.table(name, lambda: asked(vectors, method, frame))

    sweep = [layer for layer in settings.layers if settings.early_layer < layer]
    means = folder.vectors("means", making.means)
    at_layers = [folder.table("means", lambda: asked(means, MEANS, validation))]
    at_layers += [
        one_shot(f"{method}-{layer:02d}", method, layer, 1, validation)[1]
        for method in METHODS
        for layer in sweep
    ]

    measured = [
        one_shot(method, method, settings.measured_layers[method], settings.vectors, test)
        for method in METHODS
    ]
    every = [vector for vectors, _ in measured for vector in vectors]
    best_means = [v for v in means if v.layer == settings.measured_layers[MEANS]]
    randoms = random_vectors(max(every, key=lambda v: v.norm), settings.random, settings.seed)
    few = test.iloc[: settings.random_claims]
    found = [
        folder.table("unsteered", lambda: asked([None], "unsteered", test)),
        folder.table("true claims", lambda: asked([None], "true claims", _true(test))),
        *(table for _, table in measured),
        folder.table("means-test", lambda: asked(best_means, MEANS, test)),
        folder.table("random", lambda: asked(randoms, "random", few)),
    ]
    every += [*best_means, *randoms]
    tested = pd.concat(found, ignore_index=True)
    surprisals = folder.table("surprisals", lambda: _surprisals(claims, settings, tested))
    classifiers = folder.table(
        "classifiers",
        lambda: separation(
            claims.model, every, claims.prompts(test), claims.prompts(test, "true")
        ).to_frame(),
    )
    frame = pd.DataFrame({"vector": v.label, "layer": v.layer, "norm": v.norm} for v in every)
    return FictitiousResult(
        settings, frame, pd.concat(at_layers, ignore_index=True), tested, surprisals, classifiers
    )


def rates(answers: pd.DataFrame, by: Iterable[str] = ("vector", "method")) -> pd.DataFrame:
    """A row for each vector (or whatever `by` names).

    Columns: those, n, retracts with its Wilson interval low and high, names (the share that names
    an occupation), fictitious (the share that stays with the claim), surprisal (the median).
    """
    keys = list(by)
    also = answers.assign(fictitious=answers["about"] == "fictitious").groupby(keys, sort=False)
    return shares(answers, "retracts", keys).assign(
        names=list(also["names"].mean()),
        fictitious=list(also["fictitious"].mean()),
        surprisal=list(also["surprisal"].median()),
    )


@dataclass(frozen=True)
class Asked:
    """Asks claims under each of some vectors of a method."""

    claims: Claims
    settings: FictitiousSettings
    progress: bool

    def __call__(
        self, vectors: Iterable[SteeringVector | None], method: str, frame: pd.DataFrame
    ) -> pd.DataFrame:
        return pd.concat(
            [
                self.claims.asked(
                    frame,
                    [] if vector is None else [Add(vector)],
                    tokens=self.settings.answer_tokens,
                    progress=self.progress,
                ).assign(
                    vector=method if vector is None else vector.label,
                    method=method,
                    layer=None if vector is None else vector.layer,
                )
                for vector in vectors
            ],
            ignore_index=True,
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
