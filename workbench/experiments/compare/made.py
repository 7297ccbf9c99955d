"""What a method gives at a layer, in one form for all of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from workbench.evaluation import relative_norms
from workbench.experiments.compare.task import Task
from workbench.models.hooked import HookedModel
from workbench.steering import Add, SteeringVector
from workbench.steering.interventions import Steering

Apply = Callable[[SteeringVector, float], Steering]
PAIRED = 64  # texts of a contrast, of each kind
SHARES = (0.05, 0.1, 0.2, 0.4, 0.8)  # of the stream's norm at the layer
FEW = (0.1, 0.2, 0.4, 0.8, 1.6)  # ActAdd's, which steers a few positions: twice as long
OWN = (0.5, 1.0, 1.5, 2.0, 3.0)  # ACE's and SEAL's: 1 is what their papers take


@dataclass(frozen=True, eq=False)
class Made:
    """A vector, how it acts at a strength, and the strengths to be tried.

    With `in_stream` strengths are shares of the stream's mean norm: `apply` gets the scale that
    makes the vector as long. Else they are what the method itself calls its strength. `apply` takes
    any vector: a random one of the same norm, acting likewise, is the control. `data` counts the
    labelled texts that were used, and `model` is another one where the method trains it.
    """

    vector: SteeringVector
    data: int
    apply: Apply = Add
    strengths: tuple[float, ...] = SHARES
    in_stream: bool = True
    model: HookedModel | None = None
    note: str = ""


class UnfitTaskError(ValueError):
    """A method that a task gives nothing to work with: the message says what is missing."""


def sets_of(task: Task) -> tuple[list[str], list[str]]:
    """As many prompts of either kind as contrasts use."""
    return list(task.positive[:PAIRED]), list(task.negative[:PAIRED])


def in_stream(task: Task, vector: SteeringVector, share: float) -> SteeringVector:
    """The vector as long as a share of the stream's mean norm at its layer."""
    return vector.normalized(share * stream_norm(task, vector))


def stream_norm(task: Task, vector: SteeringVector) -> float:
    """The stream's mean norm at the vector's layer, on harmless text."""
    (norm,) = relative_norms(task.model, [vector], task.harmless["train"]).stream
    return norm
