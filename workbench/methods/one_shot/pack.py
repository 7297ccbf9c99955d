"""Many vectors at once: all completions of all examples of all jobs are rows of one batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from workbench.methods.one_shot.job import OneShotJob
from workbench.methods.one_shot.losses import completion_losses
from workbench.models.hooked import HookedModel, device_of, resid_pre
from workbench.models.tail import Tail
from workbench.steering import operators
from workbench.steering.hooks import apply_edits
from workbench.steering.interventions import Edit
from workbench.steering.positions import Positions
from workbench.steering.scoring import CompletionRows


@dataclass(frozen=True, eq=False)
class Pack:
    """Jobs whose completions run together. Row r trains the vector of job `job[r]`.

    `sign` is -1 where an example is negated. Rows of different layers share the batch: each
    layer's hook edits its own rows only.
    """

    jobs: tuple[OneShotJob, ...]
    rows: CompletionRows
    job: Int[Tensor, " row"]
    sign: Float[Tensor, " row"]
    suppressed: Bool[Tensor, " row"]
    coldness: Float[Tensor, " row"]
    positions: tuple[Positions, ...]
    tail: Tail

    @classmethod
    def of(cls, model: HookedModel, jobs: Sequence[OneShotJob]) -> Pack:
        """Tokenize and lay out every completion."""
        laid_out = [
            (i, job, example, completion, k >= len(example.promote))
            for i, job in enumerate(jobs)
            for example in job.examples
            for k, completion in enumerate(example.completions)
        ]
        device = device_of(model)
        rows = CompletionRows.of(
            model,
            [example.prompt for _, _, example, _, _ in laid_out],
            [completion for _, _, _, completion, _ in laid_out],
        )
        first = min(layer for job in jobs for layer in job.layers)
        return cls(
            jobs=tuple(jobs),
            rows=rows,
            job=torch.tensor([i for i, *_ in laid_out], device=device),
            sign=torch.tensor([1.0 - 2.0 * e.negated for _, _, e, _, _ in laid_out], device=device),
            suppressed=torch.tensor([down for *_, down in laid_out], device=device),
            coldness=torch.tensor([job.coldness for _, job, *_ in laid_out], device=device),
            positions=tuple(
                Positions.of(job.positions if e.positions is None else e.positions)
                for _, job, e, _, _ in laid_out
            ),
            tail=Tail.record(
                model, rows.batch.tokens, rows.batch.attention_mask, first, rows.row, rows.column
            ),
        )

    def losses(
        self, model: HookedModel, vectors: Float[Tensor, "job d_model"]
    ) -> Float[Tensor, " row"]:
        """The loss of every completion under its job's vector, in nats, differentiable."""
        edits = self._edits(model, vectors)
        with apply_edits(model, edits, rows=len(self.job), window=self.rows.window):
            read = self.tail.read()
        return completion_losses(
            read, self.rows.target, self.rows.row, self.suppressed, self.coldness
        )

    def _edits(self, model: HookedModel, vectors: Float[Tensor, "job d_model"]) -> list[Edit]:
        """One edit for each layer, way of acting and choice of positions among the rows."""
        by_row = (vectors[self.job] * self.sign[:, None])[:, None]
        groups: dict[tuple[int, str, float, int], list[int]] = {}
        for row, job in enumerate(self.jobs[i] for i in self.job.tolist()):
            for layer in job.layers:
                key = (layer, job.intervention, job.clamp_value, id(self.positions[row]))
                groups.setdefault(key, []).append(row)
        edits = []
        for (layer, way, value, _), members in groups.items():
            chosen = torch.zeros(len(self.job), dtype=torch.bool, device=by_row.device)
            chosen[members] = True
            edits.append(
                Edit(
                    hook=resid_pre(layer),
                    apply=partial(_act, way, value, by_row),
                    positions=self.positions[members[0]].bound_to(model),
                    rows=None if len(members) == len(self.job) else chosen,
                )
            )
        return edits


def _act(way: str, value: int | float, vector: Tensor, resid: Tensor, hook: object) -> Tensor:
    """The edit that a vector is trained in."""
    if way == "clamp":
        return operators.clamp(resid, vector, value)
    return operators.add(resid, vector)
