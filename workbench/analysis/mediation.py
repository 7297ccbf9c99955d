"""Does a vector act through a direction? Its part along it, and what is left, at equal norm.

A cosine answers nothing here: a vector may lie near a direction and act through something else, or
lie far from it and act through the little that it shares. So each part is scaled to the vector's
norm and measured as the vector was.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float
from tqdm.auto import tqdm

from workbench.evaluation.proportion import proportion
from workbench.evaluation.two_level import Interval, two_level
from workbench.steering.vector import SteeringVector

WHOLE, WITHOUT, ALONE = "whole", "without the direction", "along the direction"
PARTS = (WHOLE, WITHOUT, ALONE)
LEAST_NORM = 1e-6  # of the vector's: less is rounding, and has no direction of its own


def parts_of(vector: SteeringVector, direction: SteeringVector) -> dict[str, SteeringVector]:
    """The vector, what is left without its part along the direction, and that part, of one norm.

    A part that is not there (the vector lies along the direction, or across it) is left out.
    Raises ValueError for a direction of another width, and for one that is zero.
    """
    if direction.d_model != vector.d_model or not direction.norm:
        raise ValueError(
            f"the direction must be {vector.d_model} numbers that are not all zero; it has "
            f"{direction.d_model} and norm {direction.norm:g}"
        )
    unit = direction.values.double() / direction.values.double().norm()
    values = vector.values.double()
    along = (values @ unit) * unit
    found = {WHOLE: vector}
    for part, left in ((WITHOUT, values - along), (ALONE, along)):
        norm = float(left.norm())
        if norm > LEAST_NORM * vector.norm:
            record = vector.provenance.derived(part, direction=direction.label)
            scaled = (left * (vector.norm / norm)).float()
            found[part] = SteeringVector(scaled, vector.layers, record, f"{vector.label}, {part}")
    return found


@dataclass(frozen=True, eq=False)
class Mediation:
    """Attack success of vectors and of their two parts, on the same requests.

    `answers` has a row for each vector, part and request: vector, part, request, answer, refuses,
    surprisal, distinct, succeeds. `cosines` are those with the direction, by vector.
    """

    answers: pd.DataFrame
    cosines: dict[str, float]
    direction: str

    def to_frame(self) -> pd.DataFrame:
        """One row a vector and part: vector, part, cosine, n, success, low, high (Wilson)."""
        rows = []
        for (vector, part), some in self.answers.groupby(["vector", "part"], sort=False):
            found = proportion(int(some["succeeds"].sum()), len(some))
            rows.append(
                {
                    "vector": vector,
                    "part": part,
                    "cosine": self.cosines[str(vector)],
                    "n": found.n,
                    "success": found.rate,
                    "low": found.low,
                    "high": found.high,
                }
            )
        return pd.DataFrame(rows)

    def mean(self, part: str) -> Interval | None:
        """Mean success of a part over vectors and requests, with a two-level interval.

        Over those vectors that have both parts; None for fewer than two of them, or of requests.
        """
        return _interval(self._table(part))

    def lost(self, part: str) -> Interval | None:
        """How much of the whole vectors' success is lost with only this part: paired by request."""
        return _interval(self._table(WHOLE) - self._table(part))

    def _table(self, part: str) -> Float[np.ndarray, "vector request"]:
        rows = self.answers[self.answers["part"] == part]
        by_vector = [rows[rows["vector"] == each]["succeeds"] for each in self._complete()]
        return np.array([each.to_numpy(float) for each in by_vector])

    def _complete(self) -> list[str]:
        """The vectors that have every part."""
        counts = self.answers.groupby("vector", sort=False)["part"].nunique()
        return [str(vector) for vector in counts.index[counts == len(PARTS)]]


def _interval(table: Float[np.ndarray, "vector request"]) -> Interval | None:
    return two_level(table) if table.ndim == 2 and min(table.shape) > 1 else None


def mediate(
    judged: Callable[[SteeringVector, str], pd.DataFrame],
    vectors: Sequence[SteeringVector],
    direction: SteeringVector,
    *,
    progress: bool = False,
) -> Mediation:
    """Judge answers under each vector, and under each of its parts at the vector's norm.

    `judged(made, part)` gives them as `Attack.to_frame` does, always for the same requests. Labels
    tell the vectors apart. Raises ValueError where there are none or two share a label.
    """
    labels = [vector.label for vector in vectors]
    if not labels or len(set(labels)) < len(labels):
        raise ValueError(f"mediation needs vectors with labels of their own, got {labels}")
    frames = [
        judged(made, part).assign(vector=vector.label, part=part)
        for vector in tqdm(vectors, desc="mediation", disable=not progress)
        for part, made in parts_of(vector, direction).items()
    ]
    cosines = {vector.label: vector.cosine(direction) for vector in vectors}
    return Mediation(pd.concat(frames, ignore_index=True), cosines, direction.label)
