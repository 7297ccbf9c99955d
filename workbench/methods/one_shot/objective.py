"""What a job minimizes, from the losses of its completions and the streams that it watches."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from workbench.methods.one_shot.balance import mmd
from workbench.methods.one_shot.constraint import Multipliers
from workbench.methods.one_shot.job import OneShotJob
from workbench.methods.one_shot.request import Seen


@dataclass(eq=False)
class Objective:
    """A job's objective. With `multipliers` it is that of a constraint's second stage.

    `last` is one past the model's last layer: the stream that is unembedded.
    """

    job: OneShotJob
    last: int
    multipliers: Multipliers | None = None

    @property
    def watched(self) -> tuple[int, ...]:
        """The layers whose streams it looks at."""
        if self.job.change is not None:
            return (self.job.change.target_layer,)
        return (self.last,) if self.job.balance is not None else ()

    def __call__(self, parts: Float[Tensor, "part d_model"], seen: Seen) -> Float[Tensor, ""]:
        """The objective of one point, differentiable."""
        job, change = self.job, self.job.change
        if self.multipliers is not None:
            least = self._size(parts) if change is None else -self._change(seen)
            return least + self.multipliers.penalty(seen.losses)
        if change is not None and job.constraint is None:
            return -self._change(seen)
        losses = seen.losses
        if job.satisfice:
            losses = (losses - losses.new_tensor(job.targets)).square()
        if job.per_token:
            losses = losses / seen.texts.lengths
        total = losses.sum() if job.reduction == "sum" else losses.mean()
        if job.balance is not None:
            total = total + job.balance.weight * self._imbalance(seen)
        return total

    def _size(self, parts: Float[Tensor, "part d_model"]) -> Float[Tensor, ""]:
        """`‖v‖ + ‖M‖_F`, the norm of a low-rank matrix by its factors' products."""
        shape = self.job.shape
        size = parts[: shape.vectors].norm(dim=-1).sum()
        if shape.rank:
            left, right = parts[shape.vectors :].chunk(2)
            square = ((left @ left.T) * (right @ right.T)).sum()
            size = size + (square + 1e-12).sqrt()
        return size

    def _change(self, seen: Seen) -> Float[Tensor, ""]:
        change = self.job.change
        assert change is not None
        at = change.target_layer
        return change.of(seen.streams[at], seen.clean[at], seen.real)

    def _imbalance(self, seen: Seen) -> Float[Tensor, ""]:
        """How far apart the groups' examples are in what changes at the tokens that predict."""
        assert self.job.balance is not None
        change = (seen.streams[self.last] - seen.clean[self.last]).float()
        read, examples = seen.texts.readings, self.job.examples
        owner = read.row.new_tensor(seen.texts.example)[read.row]
        counts = owner.bincount(minlength=len(examples))
        sums = change.new_zeros(len(examples), change.shape[-1])
        sums = sums.index_add(0, owner, change[read.row, read.column])
        means = sums / counts[:, None].clamp(min=1)
        held = counts.tolist()
        first, second = (
            means[[i for i, each in enumerate(examples) if held[i] and each.group == name]]
            for name in self.job.balance.groups
        )
        return mmd(first, second) if len(first) and len(second) else means.new_zeros(())
