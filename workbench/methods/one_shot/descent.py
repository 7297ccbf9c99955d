"""One job's way down: its vector, its Adam, its history, and when to stop."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from workbench.methods.one_shot.job import OneShotJob, within_norm
from workbench.methods.one_shot.result import OneShotRun
from workbench.models.hooked import HookedModel
from workbench.steering.provenance import Provenance
from workbench.steering.vector import SteeringVector


@dataclass(frozen=True)
class Iterate:
    """A vector after `step` updates, with the losses of exactly that vector."""

    step: int
    values: Float[Tensor, " d_model"]
    losses: tuple[float, ...]
    objective: float

    @property
    def loss(self) -> float:
        """The sum of its completions' losses, in nats."""
        return math.fsum(self.losses)

    @property
    def finite(self) -> bool:
        """Whether its objective is a number."""
        return math.isfinite(self.objective)


@dataclass(eq=False)
class Descent:
    """The state of one job while its pack runs."""

    job: OneShotJob
    values: Float[Tensor, " d_model"]
    history: list[Iterate] = field(default_factory=list)
    best: Iterate | None = None
    stopped: str | None = None
    _reached_in_a_row: int = 0

    def __post_init__(self) -> None:
        self.values = self.values.clone().requires_grad_(True)
        self._adam = torch.optim.Adam([self.values], lr=self.job.learning_rate)

    def objective(self, losses: Float[Tensor, " completion"]) -> Float[Tensor, ""]:
        """What is minimized: the sum of the losses, or of squared distances to the targets."""
        if self.job.satisfice:
            return (losses - losses.new_tensor(self.job.targets)).square().sum()
        return losses.sum()

    def observe(self, losses: Float[Tensor, " completion"], objective: Float[Tensor, ""]) -> None:
        """Take note of the present vector's losses, and decide whether it is the last one."""
        here = Iterate(
            step=len(self.history),
            values=self.values.detach().clone().cpu(),
            losses=tuple(losses.detach().tolist()),
            objective=float(objective.detach()),
        )
        if not here.finite:
            if self.best is None:
                raise ValueError(
                    f"the first loss of {self.job.label or 'the job'} is not finite "
                    f"({here.losses}): check the start vector and the model's weights"
                )
            self.stopped = "not finite"
            return
        self.history.append(here)
        if self.best is None or here.objective < self.best.objective:
            self.best = here
        self._reached_in_a_row = self._reached_in_a_row + 1 if self._reached(here) else 0
        if self._reached_in_a_row >= self.job.patience:
            self.stopped = "target"
        elif here.step == self.job.steps:
            self.stopped = "steps"

    def _reached(self, here: Iterate) -> bool:
        """Whether the targets, as far as there are any, are met by this iterate."""
        job = self.job
        if not job.by_completion:
            return job.target_loss is not None and here.loss <= job.target_loss
        pairs = [(x, t) for x, t in zip(here.losses, job.targets, strict=True) if t is not None]
        if job.satisfice:
            return all(abs(loss - target) <= job.tolerance for loss, target in pairs)
        return bool(pairs) and all(loss <= target for loss, target in pairs)

    def update(self, gradient: Float[Tensor, " d_model"]) -> None:
        """One step of Adam, then back within the norm bound."""
        self.values.grad = gradient
        self._adam.step()
        with torch.no_grad():
            self.values.copy_(within_norm(self.values, self.job.max_norm))

    def finish(self, model: HookedModel) -> OneShotRun:
        """The result, with the vector that the job asks to keep."""
        assert self.best is not None
        last = self.history[-1]
        kept = self.best if self.job.keep == "best" else last
        taken = self.history[:-1]  # the last iterate has had no update after it
        return OneShotRun(
            vector=self._vector(model, kept),
            loss=kept.loss,
            step=kept.step,
            losses=tuple(iterate.loss for iterate in taken),
            completion_losses=tuple(iterate.losses for iterate in taken),
            objectives=tuple(iterate.objective for iterate in taken),
            norms=tuple(float(iterate.values.norm()) for iterate in taken),
            last_vector=self._vector(model, last),
            last_loss=last.loss,
            stopped=self.stopped or "interrupted",
            job=self.job,
        )

    def _vector(self, model: HookedModel, iterate: Iterate) -> SteeringVector:
        job = self.job
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
                "steps": len(self.history) - 1,
                "stopped": self.stopped or "interrupted",
                "losses": [round(each.loss, 6) for each in self.history],
            },
        )
        return SteeringVector(iterate.values, job.layers, provenance, job.label)
