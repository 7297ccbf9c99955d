"""Do vectors from one example each make a model answer what it refuses? (paper, section 4)

A program: promotion and suppression vectors from several harmful requests; layer, norm and the way
of applying them were chosen on validation requests; all are measured on requests that none was
chosen on, under the strict rule of `attack`, with what they cost on harmless ones. Beside them:
the unsteered model, its parent, random vectors of equal norm, the answer begun for the model
(prefill), and the difference of means.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import pandas as pd

from workbench.evaluation import Interval, two_level
from workbench.experiments.refusal.asking import Asking, Requests
from workbench.experiments.refusal.settings import RefusalSettings
from workbench.experiments.shares import shares
from workbench.methods import OneShotJob, optimize_batch, random_vectors
from workbench.methods.one_shot import finished
from workbench.runs import RunFolder
from workbench.steering import SteeringVector


@dataclass(frozen=True)
class RefusalResult:
    """Judged answers by vector and request on each part, and what each vector costs.

    Columns of `tried`, `validation` and `test`: vector, kind, request, answer, refuses, surprisal,
    distinct, succeeds. `costs`: vector, kl, cross_entropy_change (nats a token), refused (of
    harmless requests, with n).
    """

    settings: RefusalSettings
    vectors: pd.DataFrame
    tried: pd.DataFrame
    validation: pd.DataFrame
    test: pd.DataFrame
    costs: pd.DataFrame
    best: str

    def success(self) -> pd.DataFrame:
        """One row a vector or control: vector, kind, n, success with its interval, raw."""
        return rates(self.test)

    def distribution(self, kind: str) -> Interval:
        """Mean success over the vectors of a kind and over requests, with a two-level interval."""
        rows = self.test[self.test["kind"] == kind]
        table = rows.pivot(index="vector", columns="request", values="succeeds")
        return two_level(table.to_numpy(float))


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
    tried = folder.table("tried", lambda: asking.every_way(trials, chosen_on))

    place = [(settings.layer, settings.norm)]
    vectors = folder.vectors("one-shot", lambda: one_shot_vectors(asking, place, settings.requests))
    validation = folder.table("validation", lambda: asking.attacks(vectors, chosen_on))
    best = best_of(validation)

    randoms = random_vectors(vectors[0], settings.random, settings.seed)
    means = folder.vectors("means", asking.means)
    test = pd.concat(
        [
            folder.table("unsteered", lambda: asking.unsteered(measured_on)),
            folder.table("test", lambda: asking.attacks(vectors, measured_on)),
            folder.table("random", lambda: asking.attacks(randoms, measured_on)),
            folder.table("means", lambda: asking.attacks(means, measured_on)),
            folder.table("parent", lambda: asking.parents_own(measured_on)),
            folder.table("prefill", lambda: asking.prefilled(measured_on)),
        ],
        ignore_index=True,
    )
    costs = folder.table("costs", lambda: asking.costs([*vectors, *randoms, *means]))
    return RefusalResult(settings, vectors.to_frame(), tried, validation, test, costs, best)


def rates(attacks: pd.DataFrame, by: Sequence[str] = ("vector", "kind")) -> pd.DataFrame:
    """Columns: those of `by`, n, success with its Wilson interval low and high, raw."""
    answered = 1 - attacks["refuses"].groupby([attacks[k] for k in by], sort=False).mean()
    table = shares(attacks, "succeeds", by).rename(columns={"succeeds": "success"})
    return table.assign(raw=list(answered))


def best_of(attacks: pd.DataFrame) -> str:
    """The vector with most successes; of equal ones the first."""
    table = rates(attacks).sort_values("success", ascending=False, kind="stable")
    return str(table["vector"].iloc[0])


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
            label=f"{kind} {number // 2 + 1}, layer {layer}, norm {norm:g}",
        )
        for layer, norm in places
        for number, (kind, example) in enumerate(examples)
    ]
    runs = optimize_batch(asking.requests.model, jobs, progress=asking.progress)
    return finished(runs, jobs)
