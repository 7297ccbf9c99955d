"""How a CAA vector moves answers with its scale, by letter and by the answer's text.

Rimsky et al. 2024 (arXiv 2312.06681), figure 3: held-out questions, a vector at scales from -1 to
1. Scores are log P(matching) - log P(not matching): of the letters after the question with its
choices, in nats, and of the answers' texts after the question alone, in nats a token. An item's
slope is the least squares slope of its score over the scales. Layer and norm are chosen on
validation, by text: the mean slope whose interval's lower end is highest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from workbench.evaluation import relative_norms
from workbench.experiments.compare.meter import asked_of, margins_of, mean_interval
from workbench.experiments.compare.task import Task
from workbench.experiments.shares import shares
from workbench.methods import caa, random_vectors
from workbench.methods.caa import AFTER_PROMPT
from workbench.steering import Add, SteeringVector
from workbench.steering.interventions import Steering
from workbench.steering.prepared import Prepared

CAA = "CAA"


@dataclass(frozen=True)
class SlopeSettings:
    """`shares` are norms as shares of the stream's mean norm at a layer.

    `random` vectors have the norm of the chosen one; `pairs` training pairs make it; `measured_on`
    items are held out.
    """

    layers: Sequence[int] = (8, 10, 12, 14, 16, 18)
    shares: Sequence[int | float] = (0.1, 0.2, 0.4)
    scales: Sequence[int | float] = (-1.0, 0.0, 1.0)
    random: int = 10
    pairs: int = 200
    measured_on: int = 50
    seed: int = 0

    def __post_init__(self) -> None:
        for name, fewest in (("layers", 1), ("shares", 1), ("scales", 2)):
            values = list(getattr(self, name))
            if len(values) < fewest or len(set(values)) < len(values):
                raise ValueError(f"{name} must hold {fewest} or more, none twice; got {values}")
        for name in ("random", "pairs", "measured_on"):
            if getattr(self, name) < 2:
                raise ValueError(f"{name} must be at least 2, got {getattr(self, name)}")


@dataclass(frozen=True)
class Slopes:
    """Of one behaviour. `tried`: layer, share, slope, low, high on validation, by text, `chosen`.

    `scores` has a row a test item, vector ("CAA" or a random one), scale and `scored` ("letter" or
    "text").
    """

    name: str
    tried: pd.DataFrame
    scores: pd.DataFrame

    @property
    def layer(self) -> int:
        """The layer of all vectors."""
        return int(self.tried[self.tried["chosen"]]["layer"].iloc[0])

    @property
    def share(self) -> float:
        """The vectors' norm as a share of the stream's mean norm."""
        return float(self.tried[self.tried["chosen"]]["share"].iloc[0])

    def to_frame(self) -> pd.DataFrame:
        """One row a vector and way of scoring: slope (nats a unit of scale), low, high, n.

        Intervals are 95%, over items.
        """
        found = []
        for (scored, vector), rows in self.scores.groupby(["scored", "vector"], sort=False):
            table = rows.pivot(index="item", columns="scale", values="score")
            slope = _slope(table.columns.to_numpy(float), table.to_numpy(float).T)
            found.append({"behaviour": self.name, "scored": scored, "vector": vector, **slope})
        return pd.DataFrame(found)

    def summary(self) -> pd.DataFrame:
        """One row a way of scoring: the vector's slope beside those of the random vectors.

        Columns: behaviour, scored, layer, share, slope, low, high, n, random_low and random_high
        (the least and the most of their slopes), beyond (more than all of them).
        """
        frame = self.to_frame()
        own = frame["vector"] == CAA
        ends = frame[~own].groupby("scored")["slope"].agg(["min", "max"])
        made = frame[own].drop(columns="vector").assign(layer=self.layer, share=self.share)
        low, high = (made["scored"].map(ends[end]) for end in ("min", "max"))
        return made.assign(random_low=low, random_high=high, beyond=made["slope"] > high)

    def matching(self) -> pd.DataFrame:
        """How often the matching answer is the likelier one, under the vector.

        Columns: behaviour, scored, scale, n, matching, low, high (Wilson).
        """
        own = self.scores[self.scores["vector"] == CAA]
        own = own.assign(behaviour=self.name, matching=own["score"] > 0)
        return shares(own, "matching", ("behaviour", "scored", "scale"))


def slopes(task: Task, settings: SlopeSettings, progress: bool = True) -> Slopes:
    """Measure a task of lettered answers (`caa_task`) with a vector from its training pairs.

    Raises ValueError for a task without letters.
    """
    if not task.letters or not task.lettered:
        raise ValueError(f"the task {task.name} has no lettered answers")

    @cache
    def prepared(part: str, layer: int) -> Prepared:
        return Prepared.of(task.model, *asked_of(getattr(task, part)), layer)

    @cache
    def unsteered(part: str, layer: int, per_token: bool) -> list[float]:
        return read(part, layer, (), per_token)

    def read(part: str, layer: int, steering: Steering, per_token: bool) -> list[float]:
        found = prepared(part, layer).score(steering).log_probs
        return margins_of(found.mean if per_token else found.total)

    def scored(
        part: str, vector: SteeringVector, scale: int | float, per_token: bool
    ) -> list[float]:
        (layer,) = vector.layers
        if not scale:  # the same for every vector
            return unsteered(part, layer, per_token)
        return read(part, layer, Add(vector, scale, AFTER_PROMPT), per_token)

    made = caa(task.model, task.letters[: settings.pairs], layers=settings.layers)
    norms = relative_norms(task.model, list(made), task.harmless["validation"]).stream
    candidates = [
        (share, vector.normalized(share * norm))
        for vector, norm in zip(made, norms, strict=True)
        for share in settings.shares
    ]
    tried = []
    for share, vector in tqdm(candidates, desc="on validation", disable=not progress):
        values = [scored("validation", vector, scale, True) for scale in settings.scales]
        slope = _slope(np.asarray(settings.scales, float), np.asarray(values))
        tried.append({"layer": vector.layers[0], "share": share, **slope})
    best = int(np.argmax([row["low"] for row in tried]))
    chosen = candidates[best][1]
    several = [chosen.labelled(CAA), *random_vectors(chosen, settings.random, settings.seed)]
    rows = []
    for vector in tqdm(several, desc="vectors", unit="vector", disable=not progress):
        # Letters differ in one token of several: in all, not a token.
        for name, part in (("letter", "lettered"), ("text", "test")):
            for scale in settings.scales:
                for item, score in enumerate(scored(part, vector, scale, name == "text")):
                    where = {"item": item, "vector": vector.label, "scale": scale}
                    rows.append({**where, "scored": name, "score": score})
    frame = pd.DataFrame(tried)
    return Slopes(task.name, frame.assign(chosen=frame.index == best), pd.DataFrame(rows))


def _slope(scales: np.ndarray, values: np.ndarray) -> dict[str, float]:
    """The mean over items (the columns of `values`) of the slope over scales, with its interval."""
    each = np.polyfit(scales, values, 1)[0]
    low, high = mean_interval(each.tolist())
    return {"slope": float(each.mean()), "low": low, "high": high, "n": len(each)}
