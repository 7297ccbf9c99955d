"""What an optimization gives: the vector, the way there, and why it stopped."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from workbench.methods.one_shot.job import OneShotJob
from workbench.steering.vector import SteeringVector


@dataclass(frozen=True, eq=False)
class OneShotRun:
    """A finished optimization.

    Attributes:
        vector: the iterate that was kept, with its provenance.
        loss: the loss of that very vector: the sum of its completions' losses, in nats.
        step: how many updates that vector has had.
        losses: the loss before each update, in nats, one entry an update; no square, penalty or
            noise in it.
        completion_losses: the same by completion, those promoted first, example by example.
        objectives: what was minimized, before each update.
        norms: the vector's norm before each update.
        last_vector, last_loss: the iterate after the last update, and its loss.
        stopped: "steps", "target", "interrupted", "callback", or "not finite".
    """

    vector: SteeringVector
    loss: float
    step: int
    losses: tuple[float, ...]
    completion_losses: tuple[tuple[float, ...], ...]
    objectives: tuple[float, ...]
    norms: tuple[float, ...]
    last_vector: SteeringVector
    last_loss: float
    stopped: str
    job: OneShotJob

    @property
    def label(self) -> str:
        """The job's label."""
        return self.job.label

    def to_frame(self) -> pd.DataFrame:
        """One row an update: step, loss in nats, objective, norm, and each completion's loss."""
        names = [text for example in self.job.examples for text in example.completions]
        by_completion = {
            f"loss[{i}] {name}": [step[i] for step in self.completion_losses]
            for i, name in enumerate(names)
        }
        return pd.DataFrame(
            {
                "step": range(len(self.losses)),
                "loss": self.losses,
                "objective": self.objectives,
                "norm": self.norms,
                **by_completion,
            }
        )

    def __repr__(self) -> str:
        return (
            f"OneShotRun(loss={self.loss:.3f} nats at step {self.step} of {len(self.losses)}, "
            f"stopped={self.stopped!r}, vector={self.vector!r})"
        )
