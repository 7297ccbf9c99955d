"""Do decisions flip under a vector from one scenario? (paper, section 3, after Poser)

A program from top to bottom: layer and norm are chosen by all four rates on validation, where a few
vectors were tried; there a vector is made from each of several training scenarios with good
oversight, in which the harmful action is promoted; on validation the best of them is chosen, and
measured on the test part, added and subtracted, in either order of the actions; all of them, beside
random vectors of the longest's norm, are on fewer of its scenarios.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import product

import numpy as np
import pandas as pd

from workbench.evaluation import Interval
from workbench.experiments.poser.asking import Asking, place_name, vectors_at
from workbench.experiments.poser.scenarios import Scenarios
from workbench.experiments.poser.settings import PoserSettings
from workbench.experiments.shares import over_vectors, shares
from workbench.methods import random_vectors
from workbench.runs import RunFolder

# Which way and group of each of the four rates, and whether it should be high.
RATES = {
    ("+v", "good"): True,
    ("-v", "poor"): True,
    ("-v", "good"): False,
    ("+v", "poor"): False,
}


@dataclass(frozen=True)
class PoserResult:
    """Decisions of each vector, way and prompt on each part: columns of `Asking.decisions`.

    `settings` hold the layer and norm that were chosen on `tried`. `best` is the label of the
    vector that was best on validation, and `chosen` its decisions on the test part, in both orders.
    `test` has every vector's on fewer scenarios, with its kind (one-shot, random).
    """

    settings: PoserSettings
    vectors: pd.DataFrame
    tried: pd.DataFrame
    validation: pd.DataFrame
    test: pd.DataFrame
    chosen: pd.DataFrame
    best: str

    def distribution(self) -> dict[tuple[str, str], Interval]:
        """The mean of each rate over one-shot vectors and scenarios, with a two-level interval."""
        shots = self.test[self.test["kind"] == "one-shot"]
        by_rate = {
            (way, group): shots[(shots["way"] == way) & (shots["group"] == group)]
            for way, group in RATES
        }
        return {rate: over_vectors(rows, "flipped", "prompt") for rate, rows in by_rate.items()}


def run_poser(
    scenarios: Scenarios, settings: PoserSettings, folder: RunFolder, progress: bool = True
) -> PoserResult:
    """Make vectors, choose on validation, measure on the test part; every step is kept."""
    asking = Asking(scenarios, settings, progress)
    places = list(product(settings.layers, settings.norms))
    trials = folder.vectors("tried", lambda: vectors_at(asking, places, settings.tried))
    some = scenarios.validation.iloc[: settings.tried_prompts]
    tried = folder.table("tried", lambda: asking.decisions(trials, some))
    layer, norm = best_place(tried, places)
    settings = replace(settings, layer=layer, norm=norm)
    asking = replace(asking, settings=settings)

    place = [(settings.layer, settings.norm)]
    vectors = folder.vectors("one-shot", lambda: vectors_at(asking, place, settings.vectors))
    chosen_on = scenarios.validation.iloc[: settings.validation_prompts]
    validation = folder.table("validation", lambda: asking.decisions(vectors, chosen_on))
    best = best_of(validation)

    unseen = scenarios.test.iloc[: settings.test_prompts]
    (the_best,) = (vector for vector in vectors if vector.label == best)
    chosen = folder.table("chosen", lambda: asking.both_orders([the_best], unseen))

    longest = max(vectors, key=lambda vector: vector.norm)
    controls = random_vectors(longest, settings.random, settings.seed)
    test = [
        folder.table(kind, partial(asking.decisions, some, unseen.iloc[:count])).assign(kind=kind)
        for kind, some, count in (
            ("one-shot", vectors, settings.shown_prompts),
            ("random", controls, settings.random_prompts),
        )
    ]
    return PoserResult(
        settings,
        vectors.to_frame(),
        tried,
        validation,
        pd.concat(test, ignore_index=True),
        chosen,
        best,
    )


def rates(decisions: pd.DataFrame, by: Sequence[str] = ("vector",)) -> pd.DataFrame:
    """A row for each vector (or whatever `by` names), way and group.

    Columns: those, n, flipped, its Wilson interval low and high, neither.
    """
    keys = [*by, "way", "group"]
    neither = decisions["stated"].isna().groupby([decisions[k] for k in keys], sort=False).mean()
    return shares(decisions, "flipped", keys).assign(neither=list(neither))


def worst_rate(decisions: pd.DataFrame) -> float:
    """The worst of the four rates, 0 to 1: those that should be low are turned round."""
    found = rates(decisions.assign(vector="")).set_index(["way", "group"])["flipped"]
    return min(found[rate] if high else 1 - found[rate] for rate, high in RATES.items())


def mean_rate(decisions: pd.DataFrame) -> float:
    """The mean of the four rates, those that should be low turned round."""
    found = rates(decisions.assign(vector="")).set_index(["way", "group"])["flipped"]
    return float(
        np.mean([found[rate] if high else 1 - found[rate] for rate, high in RATES.items()])
    )


def best_of(decisions: pd.DataFrame, by: str = "vector") -> str:
    """The vector whose worst rate is best; of equal ones that of the best mean, then the first."""
    scores = {
        name: (worst_rate(rows), mean_rate(rows))
        for name, rows in decisions.groupby(by, sort=False)
    }
    return str(max(scores, key=lambda name: scores[name]))


def best_place(tried: pd.DataFrame, places: Sequence[tuple[int, float]]) -> tuple[int, float]:
    """The layer and norm that are best, by the rule of `best_of`, over all their vectors."""
    named = tried.assign(place=tried["vector"].str.partition(", ")[2])
    return {place_name(*place): place for place in places}[best_of(named, "place")]
