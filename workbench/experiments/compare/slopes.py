"""How a CAA vector moves answers with its scale, by letter and by the answer's text.

Rimsky et al. 2024 (arXiv 2312.06681), figure 3: held-out questions, a vector at scales from -1 to
1. Scores are log P(matching) - log P(not matching): of the letters after the question with its
choices, in nats, and of the answers' texts after the question alone, in nats a token. An item's
slope is the least squares slope of its score over the scales. The layer is chosen on validation, by
text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from workbench.evaluation import relative_norms
from workbench.experiments.compare.meter import margins, mean_interval
from workbench.experiments.compare.task import Item, Task
from workbench.methods import caa, random_vectors
from workbench.methods.caa import AFTER_PROMPT
from workbench.steering import Add, SteeringVector

SCORED = ("letter", "text")


@dataclass(frozen=True)
class Slopes:
    """Of one behaviour, on `n` test items: `scores` has a row an item, vector, scale and `scored`.

    `share` is the vector's norm as a share of the stream's mean norm at its layer. Random vectors
    have the same norm.
    """

    name: str
    layer: int
    share: int | float
    n: int
    scores: pd.DataFrame

    def to_frame(self) -> pd.DataFrame:
        """One row a vector and way of scoring: slope (nats a unit of scale), low, high, n.

        Intervals are 95%, over items.
        """
        found = []
        for (scored, vector), rows in self.scores.groupby(["scored", "vector"], sort=False):
            table = rows.pivot(index="item", columns="scale", values="score")
            scales = table.columns.to_numpy(float)
            slopes = np.polyfit(scales, table.to_numpy(float).T, 1)[0]
            low, high = mean_interval(slopes.tolist())
            slope = {"slope": float(slopes.mean()), "low": low, "high": high, "n": len(slopes)}
            found.append({"behaviour": self.name, "scored": scored, "vector": vector, **slope})
        return pd.DataFrame(found)


def slopes(
    task: Task,
    layers: Sequence[int],
    *,
    share: int | float = 0.3,
    scales: Sequence[int | float] = (-1, 0, 1),
    random: int = 5,
    pairs: int = 100,
    seed: int = 0,
    progress: bool = True,
) -> Slopes:
    """Measure a task of lettered answers (`caa_task`) with a vector from its training pairs.

    Raises ValueError for a task without letters, and without at least two scales.
    """
    if not task.letters or not task.lettered:
        raise ValueError(f"the task {task.name} has no lettered answers")
    if len(scales) < 2 or len(set(scales)) < len(scales):
        raise ValueError(f"a slope needs two scales or more, none twice, got {list(scales)}")
    made = caa(task.model, task.letters[:pairs], layers=layers)
    norms = relative_norms(task.model, list(made), task.harmless["validation"]).stream
    vectors = [v.normalized(share * norm) for v, norm in zip(made, norms, strict=True)]
    ends = (min(scales), max(scales))
    gains = [
        np.mean(_scores(task, vector, ends[1], task.validation, "text"))
        - np.mean(_scores(task, vector, ends[0], task.validation, "text"))
        for vector in vectors
    ]
    chosen = vectors[int(np.argmax(gains))]
    asked = {"letter": task.lettered, "text": task.test}
    several = [chosen.labelled("CAA"), *random_vectors(chosen, random, seed)]
    rows = []
    for vector in tqdm(several, desc="vectors", unit="vector", disable=not progress):
        for scored, items in asked.items():
            for scale in scales:
                for item, score in enumerate(_scores(task, vector, scale, items, scored)):
                    where = {"item": item, "vector": vector.label, "scale": scale}
                    rows.append({**where, "scored": scored, "score": score})
    return Slopes(task.name, chosen.layers[0], share, len(task.test), pd.DataFrame(rows))


def _scores(
    task: Task, vector: SteeringVector, scale: int | float, items: Sequence[Item], scored: str
) -> list[float]:
    steering = Add(vector, scale, AFTER_PROMPT)
    # Letters differ in one token of several: in all, not a token.
    return margins(task.model, items, steering, per_token=scored == "text")
