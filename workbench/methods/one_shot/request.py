"""What a descent asks of the engine, and what it is told: where it looks, and how low it is there.

A descent is a generator. It yields the points it wants to know, and is sent what was found there.
So the engine puts the points of all descents into one batch, whatever their optimizers do.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Protocol, TypeVar, runtime_checkable

from jaxtyping import Bool, Float
from torch import Tensor

from workbench.methods.one_shot.texts import JobTexts

Result = TypeVar("Result")


@dataclass(frozen=True, eq=False)
class Seen:
    """What an objective may use of a pass: losses by completion, in nats, and watched streams.

    `streams` holds what entered the watched layers, `clean` the same without the edit, `real` is
    False on padding. `texts` are the job's rows that were used, in the batch's order.
    """

    losses: Float[Tensor, " completion"]
    texts: JobTexts
    streams: dict[int, Float[Tensor, "row pos d_model"]]
    clean: dict[int, Float[Tensor, "row pos d_model"]]
    real: Bool[Tensor, "row pos"]


@runtime_checkable
class Objective(Protocol):
    """What is minimized at a point, differentiable; `watched` names the layers it looks at."""

    @property
    def watched(self) -> tuple[int, ...]: ...
    def __call__(self, parts: Float[Tensor, "part d_model"], seen: Seen) -> Float[Tensor, ""]: ...


@dataclass(frozen=True, eq=False)
class Request:
    """A point to evaluate. `rows` are the job's rows to use; None for all of them.

    A last point needs no `gradient`, and its batch no backward pass if no other does.
    """

    parts: Float[Tensor, "part d_model"]
    objective: Objective
    rows: tuple[int, ...] | None = None
    gradient: bool = True


@dataclass(frozen=True, eq=False)
class Answer:
    """The losses at a point, its objective, and the objective's gradient; NaN if not asked for."""

    parts: Float[Tensor, "part d_model"]
    losses: Float[Tensor, " completion"]
    objective: float
    gradient: Float[Tensor, "part d_model"]


Asking = Generator[list[Request], list[Answer], Result]
