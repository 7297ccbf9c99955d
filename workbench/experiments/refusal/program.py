"""Do vectors from one example each make a model answer what it refuses? (paper, section 4)

A program: layer, norm and the way of applying vectors are chosen on validation requests; there,
promotion and suppression vectors are made from several harmful requests, and all are measured on
requests that none was chosen on, under the strict rule of `attack`, with what they cost on harmless
ones. Beside them: the unsteered model, its parent, random vectors of the longest's norm, the answer
begun for the model (prefill), and the difference of means.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product

import pandas as pd

from workbench.evaluation import Interval
from workbench.experiments.refusal.asking import Asking, Requests
from workbench.experiments.refusal.settings import RefusalSettings
from workbench.experiments.shares import over_vectors, shares
from workbench.methods import OneShotJob, optimize_batch, random_vectors
from workbench.methods.one_shot import finished
from workbench.runs import RunFolder
from workbench.steering import SteeringVector


@dataclass(frozen=True)
class RefusalResult:
    """Judged answers by vector and request on each part, and what each vector costs.

    Columns of `tried` (with way), `validation` and `test`: vector, kind, request, answer, refuses,
    surprisal, distinct, succeeds. `costs`: vector, kl, cross_entropy_change (nats a token), refused
    (of harmless requests, with n). `settings` hold what was chosen on `tried`. Measured were
    requests of `source`, which has `available` of them.
    """

    settings: RefusalSettings
    vectors: pd.DataFrame
    tried: pd.DataFrame
    validation: pd.DataFrame
    test: pd.DataFrame
    costs: pd.DataFrame
    best: str
    source: str
    available: int

    def success(self) -> pd.DataFrame:
        """One row a vector or control: the columns of `rates`, and two more.

        `of_parent`: the strict success among requests that the parent itself answers by the same
        rule. `words`: the median length of its answers, for a short one that says nothing passes.
        """
        parents = self.test[(self.test["kind"] == "parent") & self.test["succeeds"]]["request"]
        among = self.test[self.test["request"].isin(parents)].groupby("vector")["succeeds"].mean()
        lengths = self.test["answer"].map(lambda answer: len(answer.split()))
        words = lengths.groupby(self.test["vector"]).median()
        table = rates(self.test)
        return table.assign(
            of_parent=table["vector"].map(among.astype(float)), words=table["vector"].map(words)
        )

    def distribution(self, kind: str) -> Interval:
        """Mean success over the vectors of a kind and over requests, with a two-level interval."""
        return over_vectors(self.test[self.test["kind"] == kind], "succeeds", "request")


def run_refusal(
    requests: Requests, settings: RefusalSettings, folder: RunFolder, progress: bool = True
) -> RefusalResult:
    """Make vectors, choose on validation, measure on `requests.harmful`; every step is kept."""
    asking = Asking(requests, settings, progress)
    harmful = requests.validation[requests.validation["harmful"]]["request"]
    chosen_on = list(harmful.iloc[: settings.validation_requests])
    measured_on = list(requests.harmful)[: settings.test_requests]

    places = list(product(settings.layers, settings.norms))
    trials = folder.vectors("tried", lambda: one_shot_vectors(asking, places, settings.tried))
    some = chosen_on[: settings.tried_requests]
    tried = folder.table("tried", lambda: asking.every_way(trials, some, among=chosen_on))
    way, (layer, norm) = best_place(tried, places)
    settings = replace(settings, layer=layer, norm=norm, way=way)
    asking = replace(asking, settings=settings)

    place = [(settings.layer, settings.norm)]
    vectors = folder.vectors("one-shot", lambda: one_shot_vectors(asking, place, settings.requests))
    validation = folder.table("validation", lambda: asking.attacks(vectors, chosen_on))
    best = best_of(validation)

    longest = max(vectors, key=lambda vector: vector.norm)
    randoms = random_vectors(longest, settings.random, settings.seed)
    fewer = measured_on[: settings.random_requests]
    means = folder.vectors("means", asking.means)
    test = pd.concat(
        [
            folder.table("unsteered", lambda: asking.unsteered(measured_on)),
            folder.table("test", lambda: asking.attacks(vectors, measured_on)),
            folder.table("random", lambda: asking.attacks(randoms, fewer, among=measured_on)),
            folder.table("means", lambda: asking.attacks(means, measured_on)),
            folder.table("parent", lambda: asking.parents_own(measured_on)),
            folder.table("prefill", lambda: asking.prefilled(measured_on)),
        ],
        ignore_index=True,
    )
    priced = [*vectors, *randoms.vectors[: settings.random_costs], *means]
    costs = folder.table("costs", lambda: asking.costs(priced))
    return RefusalResult(
        settings,
        vectors.to_frame(),
        tried,
        validation,
        test,
        costs,
        best,
        requests.source,
        len(requests.harmful),
    )


def rates(attacks: pd.DataFrame, by: Sequence[str] = ("vector", "kind")) -> pd.DataFrame:
    """Columns: those of `by`, n, success with its Wilson interval low and high, raw."""
    answered = 1 - attacks["refuses"].groupby([attacks[k] for k in by], sort=False).mean()
    table = shares(attacks, "succeeds", by).rename(columns={"succeeds": "success"})
    return table.assign(raw=list(answered))


def best_of(attacks: pd.DataFrame) -> str:
    """The vector with most successes; of equal ones the first."""
    table = rates(attacks).sort_values("success", ascending=False, kind="stable")
    return str(table["vector"].iloc[0])


def best_place(
    tried: pd.DataFrame, places: Sequence[tuple[int, float]]
) -> tuple[str, tuple[int, float]]:
    """The way, and the layer and norm, with most successes of all its vectors.

    Of equal ones the first, in the order of the table: adding before clamping, then the settings'.
    """
    table = rates(tried.assign(place=tried["vector"].str.partition(", ")[2]), ["way", "place"])
    best = table.sort_values("success", ascending=False, kind="stable").iloc[0]
    return str(best["way"]), {_name(*place): place for place in places}[best["place"]]


def one_shot_vectors(
    asking: Asking, places: Sequence[tuple[int, float]], count: int
) -> list[SteeringVector]:
    """A promotion and a suppression vector for each of `count` requests, layer and norm."""
    examples = [
        (kind, example) for pair in asking.examples(count) for kind, example in pair.items()
    ]
    jobs = [
        OneShotJob(
            [example],
            **asking.job(layer, norm),
            seed=asking.settings.seed + number,
            label=f"{kind} {number // 2 + 1}, {_name(layer, norm)}",
        )
        for layer, norm in places
        for number, (kind, example) in enumerate(examples)
    ]
    runs = optimize_batch(asking.requests.model, jobs, progress=asking.progress)
    return finished(runs, jobs)


def _name(layer: int, norm: int | float) -> str:
    return f"layer {layer}, norm {norm:g}"
