"""L-BFGS with a strong Wolfe line search, one descent's part of a batch.

Nocedal & Wright, Numerical Optimization, algorithms 7.4 and 7.5 (two-loop recursion), 3.5 and 3.6
(line search). PyTorch's own optimizer calls a closure for each trial step, so that many descents
would wait for each other; here a trial is yielded, and the trials of all rows are one batch.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

HISTORY = 10
SUFFICIENT, CURVATURE = 1e-4, 0.9
MOST_TRIALS = 12


@dataclass(frozen=True, eq=False)
class Point:
    """Where a search is: the objective there, and its gradient. `note` is the caller's own."""

    values: Float[Tensor, " n"]
    objective: float
    gradient: Float[Tensor, " n"]
    note: Any = None


Search = Generator[Float[Tensor, " n"], Point, "Point | None"]


class Curvature:
    """The last steps and gradient changes: an estimate of the inverse Hessian."""

    def __init__(self) -> None:
        self._pairs: deque[tuple[Tensor, Tensor, float]] = deque(maxlen=HISTORY)

    def add(self, old: Point, new: Point) -> None:
        """Take note of an accepted step."""
        step, change = new.values - old.values, new.gradient - old.gradient
        product = float(step @ change)
        if product > 1e-10 * float(change @ change) ** 0.5 * float(step @ step) ** 0.5:
            self._pairs.append((step, change, 1.0 / product))

    def direction(self, gradient: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
        """The quasi-Newton direction down from a gradient."""
        found, weights = -gradient, []
        for step, change, inverse in reversed(self._pairs):
            weights.append(inverse * float(step @ found))
            found = found - weights[-1] * change
        if self._pairs:
            step, change, inverse = self._pairs[-1]
            found = found / (inverse * float(change @ change))
        for (step, change, inverse), weight in zip(self._pairs, reversed(weights), strict=True):
            found = found + (weight - inverse * float(change @ found)) * step
        return found

    def forget(self) -> None:
        """Start over."""
        self._pairs.clear()

    def __len__(self) -> int:
        return len(self._pairs)


def line_search(
    here: Point, direction: Float[Tensor, " n"], first: float, enough: Callable[[Point], bool]
) -> Search:
    """A point along the direction that meets the strong Wolfe conditions, or the lowest found.

    A trial that is `enough` ends it too. None where no trial is lower than `here`.
    """
    slope = float(here.gradient @ direction)
    phi: Callable[[Point], float] = lambda at: float(at.gradient @ direction)  # noqa: E731
    low, low_length, high, high_length = here, 0.0, None, math.inf
    length = first
    for _ in range(MOST_TRIALS):
        trial = yield here.values + length * direction
        bad = not math.isfinite(trial.objective)
        if not bad and trial.objective < here.objective and enough(trial):
            return trial
        too_high = bad or trial.objective >= here.objective + SUFFICIENT * length * slope
        if too_high or (trial.objective >= low.objective and low is not here):
            high, high_length = trial, length
        elif abs(phi(trial)) <= -CURVATURE * slope:
            return trial
        else:
            if phi(trial) * (high_length - low_length) >= 0:
                high, high_length = low, low_length
            low, low_length = trial, length
        if high is None:
            length = _beyond(low_length, length)
        else:
            length = _between(low, low_length, high, high_length, phi)
            if abs(high_length - low_length) < 1e-9 * max(1.0, low_length):
                break
    return None if low is here else low


def _beyond(low_length: float, length: float) -> float:
    return max(2.0 * length, 2.0 * low_length)


def _between(
    low: Point, at_low: float, high: Point, at_high: float, phi: Callable[[Point], float]
) -> float:
    """The minimum of the cubic through both ends and their slopes, kept off the ends."""
    width = at_high - at_low
    middle = at_low + width / 2
    if not math.isfinite(high.objective):
        return at_low + width / 4
    slope_low, slope_high = phi(low), phi(high)
    d1 = slope_low + slope_high - 3 * (low.objective - high.objective) / (at_low - at_high)
    square = d1 * d1 - slope_low * slope_high
    if square < 0:
        return middle
    d2 = math.copysign(math.sqrt(square), width)
    bottom = slope_high - slope_low + 2 * d2
    if bottom == 0:
        return middle
    found = at_high - width * (slope_high + d2 - d1) / bottom
    inner, outer = sorted((at_low + 0.1 * width, at_high - 0.1 * width))
    return min(max(found, inner), outer) if math.isfinite(found) else middle


def lbfgs(
    start: Float[Tensor, " n"],
    accept: Callable[[Point], bool],
    steps: int,
    enough: Callable[[Point], bool] = lambda point: False,
    known: Sequence[Point] = (),
) -> Generator[Float[Tensor, " n"], Point, None]:
    """Yield trial values, be sent the point there; `accept` sees each step and may end it.

    The first trial is `start` itself, unless points are `known` already: the search then goes on
    from the last of them, with what the ones before tell of the curvature.
    """
    curvature = Curvature()
    for old, new in pairwise(known):
        curvature.add(old, new)
    here = known[-1] if known else (yield start)
    if accept(here):
        return
    for _ in range(steps):
        direction = curvature.direction(here.gradient)
        first = 1.0
        norm = float(here.gradient.norm())
        if norm == 0:
            return
        if not len(curvature):  # a first trial of length 1, or a tenth of the vector's own
            first = max(1.0, 0.1 * float(here.values.norm())) / norm
        found = yield from line_search(here, direction, first, enough)
        if found is None and len(curvature):
            curvature.forget()
            continue
        if found is None:
            return
        curvature.add(here, found)
        here = found
        if accept(here):
            return


def flat(parts: Float[Tensor, "part d_model"]) -> Float[Tensor, " n"]:
    """The parts in one row, in float64: the recursion takes differences of gradients."""
    return parts.detach().reshape(-1).to(torch.float64)
