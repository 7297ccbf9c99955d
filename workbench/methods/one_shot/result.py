"""What an optimization gives: the vector, the way there, and why it stopped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from workbench.methods.one_shot.descent import Descent, Iterate
from workbench.methods.one_shot.job import OneShotJob
from workbench.methods.one_shot.parameters import trained
from workbench.models.hooked import HookedModel
from workbench.steering.interventions import Intervention
from workbench.steering.provenance import Provenance
from workbench.steering.vector import SteeringVector


@dataclass(frozen=True, eq=False)
class OneShotRun:
    """A finished optimization.

    Attributes:
        interventions: what was trained, ready to be applied: at the job's layers and positions.
        vectors: the vectors among it, of the iterate that was kept; several where each layer has
            its own, none where only a matrix was trained.
        loss: the loss of that very iterate: the sum of its completions' losses, in nats.
        step: how many updates it has had.
        losses: the loss before each update, in nats, one entry an update; no square, penalty or
            noise in it.
        completion_losses: the same by completion, those promoted first, example by example.
        objectives: what was minimized, before each update.
        norms: the norm of all trained numbers before each update.
        last_vectors, last_loss: the iterate after the last update, and its loss.
        history: the vectors before each update, where the job asks for them.
        evaluations: how many points were evaluated; more than updates with L-BFGS or noise.
        stopped: "steps", "target", "no change", "flat" (nothing lower along the gradient),
            "constraint" (its second stage ran to its end), "interrupted", "callback", or
            "not finite".
    """

    interventions: tuple[Intervention, ...]
    vectors: tuple[SteeringVector, ...]
    loss: float
    step: int
    losses: tuple[float, ...]
    completion_losses: tuple[tuple[float, ...], ...]
    objectives: tuple[float, ...]
    norms: tuple[float, ...]
    last_vectors: tuple[SteeringVector, ...]
    last_loss: float
    history: tuple[SteeringVector, ...]
    evaluations: int
    stopped: str
    job: OneShotJob

    @property
    def vector(self) -> SteeringVector:
        """The vector. Raises ValueError where there is none, or one a layer."""
        return _only(self.vectors)

    @property
    def last_vector(self) -> SteeringVector:
        """The vector after the last update."""
        return _only(self.last_vectors)

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
            f"stopped={self.stopped!r}, vectors={self.vectors!r})"
        )


def finished(runs: Sequence[OneShotRun], jobs: Sequence[OneShotJob]) -> list[SteeringVector]:
    """The vectors of runs that came to their end, one a job: for what is kept as a result.

    Raises KeyboardInterrupt where Ctrl-C cut them short: `optimize_batch` gives what was begun.
    """
    if len(runs) < len(jobs) or any(run.stopped == "interrupted" for run in runs):
        raise KeyboardInterrupt
    return [run.vector for run in runs]


def _only(vectors: tuple[SteeringVector, ...]) -> SteeringVector:
    if len(vectors) == 1:
        return vectors[0]
    raise ValueError(
        f"this run has {len(vectors)} vectors: use run.vectors, or run.interventions to apply it"
    )


def result_of(model: HookedModel, descent: Descent, token_budget: int) -> OneShotRun:
    """The result of a descent, with the iterate that its job asks to keep."""
    assert descent.best is not None
    job, last = descent.job, descent.history[-1]
    kept = descent.best if job.keep == "best" else last
    taken = descent.history[:-1]  # the last iterate has had no update after it

    def made(iterate: Iterate) -> tuple[tuple[SteeringVector, ...], list[Intervention]]:
        provenance = Provenance.of(
            "one-shot",
            model,
            positions=str(job.positions),
            seed=job.seed,
            config=job.to_dict(),
            examples=tuple(example.to_dict() for example in job.examples),
            results={
                "loss": iterate.loss,
                "completion_losses": list(iterate.losses),
                "step": iterate.step,
                "steps": len(descent.history) - 1,
                "evaluations": descent.evaluations,
                "stopped": descent.stopped or "interrupted",
                "losses": [round(each.loss, 6) for each in descent.history],
                "token_budget": token_budget,
            },
        )
        return trained(job.shape, iterate.parts, provenance, job.label, job.positions)

    vectors, interventions = made(kept)
    return OneShotRun(
        interventions=tuple(interventions),
        vectors=vectors,
        loss=kept.loss,
        step=kept.step,
        losses=tuple(iterate.loss for iterate in taken),
        completion_losses=tuple(iterate.losses for iterate in taken),
        objectives=tuple(iterate.objective for iterate in taken),
        norms=tuple(float(iterate.parts.norm()) for iterate in taken),
        last_vectors=made(last)[0],
        last_loss=last.loss,
        history=tuple(made(each)[0][0] for each in taken) if job.history else (),
        evaluations=descent.evaluations,
        stopped=descent.stopped or "interrupted",
        job=job,
    )
