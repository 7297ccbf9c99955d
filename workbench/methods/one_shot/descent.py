"""One job's way down: what it asks, what it notes of the answers, and when it stops."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from workbench.methods.one_shot.constraint import LeastNorm, Multipliers
from workbench.methods.one_shot.job import OneShotJob
from workbench.methods.one_shot.lbfgs import Point, flat, lbfgs
from workbench.methods.one_shot.noise import Draws
from workbench.methods.one_shot.objective import Objective
from workbench.methods.one_shot.request import Answer, Asking, Request
from workbench.methods.one_shot.texts import JobTexts

# Norms that a steepest start is tried with, in units of the stream's median norm at its layer.
START_NORMS = (0.15, 0.3)
Callback = Callable[["Descent"], "bool | None"]


@dataclass(frozen=True, eq=False)
class Iterate:
    """What was trained after `step` updates, with the losses of exactly that.

    `violation` is by how many nats the worst bound is broken where a constraint holds.
    """

    step: int
    parts: Float[Tensor, "part d_model"]
    losses: tuple[float, ...]
    objective: float
    violation: float = 0.0

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
    """The state of one job while it runs. `program` yields its requests and is sent answers.

    `stream_norm` is the median norm of the unsteered stream where the vector acts.
    """

    job: OneShotJob
    texts: JobTexts
    objective: Objective
    start: Float[Tensor, "part d_model"]
    stream_norm: float
    callback: Callback | None = None
    history: list[Iterate] = field(default_factory=list)
    best: Iterate | None = None
    stopped: str | None = None
    evaluations: int = 0
    _reached_in_a_row: int = 0

    def program(self) -> Asking[None]:
        """The whole way: a start, a search, and the second stage of a constraint."""
        known: list[Answer] = []
        if self.job.starts_steepest:
            known = yield from self._start_steepest()
        yield from (self._lbfgs(known) if self.job.optimizer == "lbfgs" else self._adam())
        if self.job.constraint is not None and self.stopped in ("steps", "target", "flat"):
            yield from self._constrained(self.job.constraint)

    # ---- Searches ----

    def _adam(self) -> Asking[None]:
        values = self._within(self.start).clone().requires_grad_(True)
        adam = torch.optim.Adam([values], lr=self.job.learning_rate)
        batches = self._batches()
        draws = None if self.job.noise is None else Draws(self.job.noise, self.job.seed)
        while True:
            last = len(self.history) == self.job.steps
            found = yield from self._measure(values.detach().clone(), next(batches), draws, last)
            if self._observe(found):
                return
            self._step(adam, values, found.gradient)

    def _lbfgs(self, known: Sequence[Answer]) -> Asking[None]:
        def accept(point: Point) -> bool:
            return self._observe(point.note)

        def enough(point: Point) -> bool:
            return self.job.patience == 1 and self._reached(point.note.losses.tolist())

        seen = [Point(flat(at.parts), at.objective, flat(at.gradient), note=at) for at in known]
        search = lbfgs(flat(self.start), accept, self.job.steps, enough, seen)
        try:
            trial = next(search)
            while True:
                free = trial.reshape(self.start.shape).requires_grad_(True)
                bound = self._within(free)
                found = yield from self._measure(bound.detach().to(self.start))
                (pulled,) = torch.autograd.grad(bound, free, found.gradient.to(free))
                trial = search.send(Point(trial, found.objective, flat(pulled), note=found))
        except StopIteration:
            self.stopped = self.stopped or "flat"  # no trial was lower

    def _start_steepest(self) -> Asking[list[Answer]]:
        """From zero down the gradient, with the best of a few norms; what was seen on the way."""
        at_zero = yield from self._measure(torch.zeros_like(self.start))
        norms = at_zero.gradient.norm(dim=-1, keepdim=True)
        if bool((norms == 0).any()) or not bool(norms.isfinite().all()):
            if self.job.start is not None:
                raise ValueError(
                    f"at zero the loss of {self.job.label or 'the job'} has no steepest descent: "
                    "the gradient there is zero or not finite; give another start"
                )
            return []
        given = self.job.start_norm
        shares = [share * self.stream_norm for share in START_NORMS]
        lengths = shares if given is None else [float(given)]
        points = [self._within(-length * at_zero.gradient / norms) for length in lengths]
        answers = yield [Request(point, self.objective) for point in points]
        self.evaluations += len(answers)
        finite = [answer for answer in answers if math.isfinite(answer.objective)]
        if not finite:
            return []
        best = min(finite, key=lambda answer: answer.objective)
        self.start = best.parts
        return [at_zero, best]

    def _constrained(self, constraint: LeastNorm) -> Asking[None]:
        """The second stage: the least norm, or the largest change, within the bounds."""
        reached = self.best
        assert reached is not None
        # A target for the total of several completions is no bound of any one of them.
        own = self.job.by_completion or len(reached.losses) == 1
        bounds = [
            target if own and target is not None and loss <= target else loss + constraint.slack
            for loss, target in zip(reached.losses, self.job.targets, strict=True)
        ]
        self.objective.multipliers = Multipliers(torch.tensor(bounds), float(constraint.rho))
        self.stopped = None
        values = reached.parts.to(self.start).clone().requires_grad_(True)
        adam = torch.optim.Adam([values], lr=constraint.learning_rate or self.job.learning_rate)
        for step in range(constraint.steps + 1):
            last = step == constraint.steps
            found = yield from self._measure(values.detach().clone(), last=last)
            self.best = self.best if step else None  # kept until now for an interruption
            if self._observe(found) or last:
                break
            self.objective.multipliers.update(found.losses)
            self._step(adam, values, found.gradient)
        self.stopped = self.stopped or "constraint"

    def _step(self, adam: torch.optim.Adam, values: Tensor, gradient: Tensor) -> None:
        values.grad = gradient
        adam.step()
        with torch.no_grad():
            values.copy_(self._within(values))

    def _within(self, parts: Float[Tensor, "part d_model"]) -> Float[Tensor, "part d_model"]:
        """The parts within their norm bounds and off the vectors they are to be orthogonal to."""
        vectors = self.job.shape.vectors
        if self.job.orthogonal_to:  # they need not be orthogonal to each other
            span = torch.stack([other.values for other in self.job.orthogonal_to], 1).to(parts)
            along = (parts[:vectors] @ span) @ torch.linalg.pinv(span)
            parts = torch.cat([parts[:vectors] - along, parts[vectors:]])
        return self.job.shape.within(parts)

    def _batches(self) -> Iterator[tuple[int, ...] | None]:
        """The rows of each step: all, or a few that do not repeat until every one has been."""
        size, count = self.job.batch_size, len(self.texts.shared)
        generator = torch.Generator().manual_seed(self.job.seed)
        waiting: list[int] = []
        while True:
            if size is None or size >= count:
                yield None
                continue
            while len(waiting) < size:
                order = torch.randperm(count, generator=generator).tolist()
                waiting += sorted(order, key=lambda row: row in waiting)  # those left come last
            yield tuple(waiting[:size])
            waiting = waiting[size:]

    # ---- Points and answers ----

    def _measure(
        self,
        parts: Float[Tensor, "part d_model"],
        rows: tuple[int, ...] | None = None,
        draws: Draws | None = None,
        last: bool = False,
    ) -> Asking[Answer]:
        """What is at a point. With noise its gradient is the mean over the draws around it.

        From the `last` one nobody goes on: it is told no gradient.
        """
        (here,) = yield [Request(parts, self.objective, rows, gradient=not last)]
        self.evaluations += 1
        if draws is None or last:
            return here
        noise = draws.next(parts, here.gradient)
        around = yield [Request(parts + each, self.objective, rows) for each in noise]
        self.evaluations += len(around)
        mean = torch.stack([answer.gradient for answer in around]).mean(0)
        return Answer(here.parts, here.losses, here.objective, mean)

    def _observe(self, found: Answer) -> bool:
        """Take note of a point's losses, and decide whether it is the last one."""
        multipliers = self.objective.multipliers
        losses = tuple(found.losses.tolist())
        here = Iterate(
            step=len(self.history),
            parts=found.parts.detach().clone().cpu(),
            losses=losses,
            objective=found.objective,
            violation=0.0 if multipliers is None else multipliers.violation(losses),
        )
        if not here.finite:
            if self.best is None and not self.history:
                raise ValueError(
                    f"the first loss of {self.job.label or 'the job'} is not finite "
                    f"({here.losses}): check the start vector and the model's weights"
                )
            self.stopped = "not finite"
            return True
        before = self.history[-1] if self.history else None
        self.history.append(here)
        if self.best is None or self._rank(here) < self._rank(self.best):
            self.best = here
        if multipliers is None:
            self._decide(here, before)
        if self.stopped is None and self.callback is not None and self.callback(self):
            self.stopped = "callback"
        return self.stopped is not None

    def _rank(self, here: Iterate) -> tuple[float, float]:
        """Lower is better: the objective; under a constraint the bounds come first."""
        multipliers, constraint = self.objective.multipliers, self.job.constraint
        if multipliers is None or constraint is None:
            return (0.0, here.objective)
        broken = here.violation if here.violation > constraint.tolerance else 0.0
        if self.job.change is not None:
            return (broken, here.objective)
        return (broken, float(here.parts.norm()))

    def _decide(self, here: Iterate, before: Iterate | None) -> None:
        job = self.job
        reached = self._reached(here.losses)
        self._reached_in_a_row = self._reached_in_a_row + 1 if reached else 0
        if self._reached_in_a_row >= job.patience:
            self.stopped = "target"
        elif here.step == job.steps:
            self.stopped = "steps"
        elif job.least_change is not None and before is not None:
            change = abs(here.objective - before.objective)
            self.stopped = "no change" if change < job.least_change else None

    def _reached(self, losses: Sequence[float]) -> bool:
        """Whether the targets, as far as there are any, are met by these losses."""
        job = self.job
        if not job.by_completion:
            return job.target_loss is not None and math.fsum(losses) <= job.target_loss
        pairs = [(x, t) for x, t in zip(losses, job.targets, strict=True) if t is not None]
        if job.satisfice:
            return all(abs(loss - target) <= job.tolerance for loss, target in pairs)
        return bool(pairs) and all(loss <= target for loss, target in pairs)
