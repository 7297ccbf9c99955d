"""The engine: the points of many descents are rows of one batch, and one backward pass.

Rows do not feel each other, so the gradient of the summed objectives is every point's own. How
many points go together follows from a budget of tokens; where memory runs out it is halved, and
the points are tried again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from operator import itemgetter

import psutil
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from workbench.methods.one_shot.job import OneShotJob
from workbench.methods.one_shot.losses import Readings
from workbench.methods.one_shot.parameters import Shape
from workbench.methods.one_shot.request import Answer, Request, Seen
from workbench.methods.one_shot.texts import JobTexts, lay_out
from workbench.models.hooked import HookedModel, d_model, device_of, n_layers
from workbench.models.tail import Pass, Recording, StreamEdit, Tail
from workbench.models.unembedding import spread

MOST_TOKENS = {"cpu": 1024, "cuda": 32768}  # more make no step faster
_SHARE_OF_FREE = 0.5
_FLOATS_A_TOKEN = 30  # kept for the backward pass, in units of d_model, a block


@dataclass(eq=False)
class Engine:
    """Jobs laid out on one recording; `answer` evaluates points of any of them.

    `budget` is how many tokens, padding included, one pass may hold.
    """

    model: HookedModel
    jobs: tuple[OneShotJob, ...]
    recording: Recording
    texts: list[JobTexts]
    budget: int
    _batches: dict[tuple, _Batch] = field(default_factory=dict)

    @classmethod
    def of(cls, model: HookedModel, jobs: Sequence[OneShotJob], budget: int | None) -> Engine:
        """Lay out jobs. Raises ValueError for texts that merge or are too long."""
        recording, texts = lay_out(model, jobs)
        return cls(model, tuple(jobs), recording, texts, budget or token_budget(model))

    def stream_norm(self, number: int) -> float:
        """The median norm of the unsteered stream at a job's first layer, over real tokens."""
        recording, job = self.recording, self.jobs[number]
        if not recording.replayed:
            return float(d_model(self.model)) ** 0.5
        rows = sorted(set(self.texts[number].shared))  # its own: no other job's move its start
        stream = recording.streams[min(job.layers) - recording.first][rows]
        real = recording.branches.branch[rows] >= -1
        return float(stream[real].float().norm(dim=-1).median())

    def answer(self, asked: Sequence[tuple[int, Request]]) -> list[Answer]:
        """Evaluate requests of jobs, each named by its number, as many together as fit.

        Early layers go first: rows of later ones join the batch at theirs.
        """
        order = sorted(range(len(asked)), key=lambda at: min(self.jobs[asked[at][0]].layers))
        waiting = [asked[at] for at in order]
        answers: list[Answer] = []
        while waiting:
            count = self._how_many(waiting)
            try:
                answers += self._evaluate(waiting[:count])
            except (torch.OutOfMemoryError, RuntimeError) as error:
                if not _ran_out(error) or count == 1:
                    raise
                self.budget = max(1, self._tokens(waiting[:count]) // 2)
                continue
            waiting = waiting[count:]
        return [answer for _, answer in sorted(zip(order, answers, strict=True), key=itemgetter(0))]

    def _how_many(self, waiting: Sequence[tuple[int, Request]]) -> int:
        """How many go into the next pass: those within the budget, at least one."""
        count = 1
        while count < len(waiting) and self._tokens(waiting[: count + 1]) <= self.budget:
            count += 1
        return count

    def _tokens(self, asked: Sequence[tuple[int, Request]]) -> int:
        width = self.texts[0].width
        rows = [
            len(self.texts[number].shared) if request.rows is None else len(request.rows)
            for number, request in asked
        ]
        return width * sum(rows)

    def _evaluate(self, asked: Sequence[tuple[int, Request]]) -> list[Answer]:
        key = tuple((number, request.rows) for number, request in asked)
        if key not in self._batches:
            self._batches.clear()  # one is enough: a pack's make-up changes, and does not return
            self._batches[key] = _Batch.of(self, key, [r.objective.watched for _, r in asked])
        batch = self._batches[key]
        parts = [
            request.parts.detach().to(device_of(self.model)).requires_grad_(True)
            for _, request in asked
        ]
        with torch.set_grad_enabled(any(request.gradient for _, request in asked)):
            passed = batch.tail.run(batch.edits(parts), tuple(batch.clean))
            losses = batch.losses(passed)
            objectives = [
                request.objective(each, batch.seen(i, losses, passed))
                for i, (each, (_, request)) in enumerate(zip(parts, asked, strict=True))
            ]
        return [
            Answer(each.detach(), own.detach(), float(objective.detach()), gradient)
            for each, own, objective, gradient in zip(
                parts, losses, objectives, _gradients(objectives, parts), strict=True
            )
        ]


def _gradients(objectives: Sequence[Tensor], parts: Sequence[Tensor]) -> Sequence[Tensor]:
    """Each point's own, since rows do not feel each other; NaN where no graph was kept."""
    total = torch.stack(list(objectives)).sum()
    if not total.requires_grad:
        return [torch.full_like(each, float("nan")).detach() for each in parts]
    return torch.autograd.grad(total, parts, allow_unused=True, materialize_grads=True)


@dataclass(frozen=True, eq=False)
class _Batch:
    """How the rows of some requests stand in one batch."""

    tail: Tail
    texts: tuple[JobTexts, ...]
    shapes: tuple[Shape, ...]
    rows: tuple[Int[Tensor, " _row"], ...]
    readings: Readings
    owner: Int[Tensor, " token"]
    watched: tuple[tuple[int, ...], ...]
    clean: dict[int, Tensor]

    @classmethod
    def of(cls, engine: Engine, key: Sequence[tuple], watched: Sequence[tuple[int, ...]]) -> _Batch:
        chosen = [
            engine.texts[number] if rows is None else engine.texts[number].selecting(rows)
            for number, rows in key
        ]
        jobs = [engine.jobs[number] for number, _ in key]
        tail = engine.recording.tail(
            [min(job.layers) for job, t in zip(jobs, chosen, strict=True) for _ in t.shared],
            [at for texts in chosen for at in texts.shared],
        )
        ends = torch.tensor([len(texts.shared) for texts in chosen]).cumsum(0).tolist()
        device = device_of(engine.model)
        rows = tuple(
            torch.arange(end - len(texts.shared), end, device=device)
            for texts, end in zip(chosen, ends, strict=True)
        )
        counts = [len(texts.lengths) for texts in chosen]
        offsets = [sum(counts[:i]) for i in range(len(counts))]
        layers = sorted({layer for each in watched for layer in each})
        clean = tail.run({}, layers).watched if layers else {}
        return cls(
            tail=tail,
            texts=tuple(chosen),
            shapes=tuple(job.shape for job in jobs),
            rows=rows,
            readings=Readings.joined(
                [texts.readings for texts in chosen], [int(own[0]) for own in rows]
            ),
            owner=torch.cat([t.completion + o for t, o in zip(chosen, offsets, strict=True)]),
            watched=tuple(watched),
            clean={layer: stream.detach() for layer, stream in clean.items()},
        )

    def losses(self, passed: Pass) -> tuple[Float[Tensor, " _completion"], ...]:
        """The losses of each request's completions."""
        counts = [len(texts.lengths) for texts in self.texts]
        return spread(self.readings.terms(passed), self.owner, sum(counts)).split(counts)

    def seen(self, number: int, losses: Sequence[Tensor], passed: Pass) -> Seen:
        """What the objective of request `number` may use."""
        rows, texts = self.rows[number], self.texts[number]
        branches = self.tail.recording.branches
        return Seen(
            losses=losses[number],
            texts=texts,
            streams={layer: passed.watched[layer][rows] for layer in self.watched[number]},
            clean={layer: self.clean[layer][rows] for layer in self.watched[number]},
            real=branches.branch[list(texts.shared)] >= -1,
        )

    def edits(self, parts: Sequence[Float[Tensor, "_part d_model"]]) -> Mapping[int, StreamEdit]:
        """The edit of each layer: requests whose parts have one shape are edited together."""
        members: dict[Shape, list[int]] = {}
        for number, shape in enumerate(self.shapes):
            members.setdefault(shape, []).append(number)
        found: dict[int, list[StreamEdit]] = {}
        for shape, numbers in members.items():
            by_row = torch.cat(
                [parts[number].expand(len(self.rows[number]), -1, -1) for number in numbers]
            )
            by_row = shape.signed(by_row, torch.cat([self.texts[n].sign for n in numbers]))
            rows = None if len(members) == 1 else torch.cat([self.rows[n] for n in numbers])
            mask = None
            if any(self.texts[number].mask is not None for number in numbers):
                mask = torch.cat([_full(self.texts[number]) for number in numbers])
            for layer in shape.layers:
                edit = partial(_edit, shape=shape, parts=by_row, rows=rows, mask=mask, layer=layer)
                found.setdefault(layer, []).append(edit)
        return {layer: partial(_in_turn, edits) for layer, edits in found.items()}


def _full(texts: JobTexts) -> Bool[Tensor, "row pos"]:
    """A job's positions, spelled out where they are all."""
    if texts.mask is not None:
        return texts.mask
    shape = (len(texts.shared), texts.width)
    return torch.ones(shape, dtype=torch.bool, device=texts.sign.device)


def _edit(
    resid: Tensor,
    *,
    shape: Shape,
    parts: Tensor,
    rows: Tensor | None,
    mask: Tensor | None,
    layer: int,
) -> Tensor:
    """One shape's edit, on its rows and positions."""
    own = resid if rows is None else resid[rows]
    edited = shape.edit(own, parts, layer)
    if mask is not None:
        edited = torch.where(mask[..., None], edited, own)
    return edited if rows is None else resid.index_copy(0, rows, edited)


def _in_turn(edits: Sequence[StreamEdit], resid: Tensor) -> Tensor:
    for edit in edits:
        resid = edit(resid)
    return resid


def token_budget(model: HookedModel) -> int:
    """How many tokens one pass may hold: what half the free memory allows, up to a useful size."""
    device = device_of(model)
    if device.type == "cuda":
        free = torch.cuda.mem_get_info(device)[0]
    else:
        free = psutil.virtual_memory().available
    a_token = 4 * _FLOATS_A_TOKEN * d_model(model) * n_layers(model)
    most = MOST_TOKENS.get(device.type, MOST_TOKENS["cpu"])
    return max(1, min(most, int(_SHARE_OF_FREE * free / a_token)))


def _ran_out(error: Exception) -> bool:
    """Whether memory ran out; on a CPU PyTorch has no class of its own for it."""
    text = str(error)
    return (
        isinstance(error, torch.OutOfMemoryError)
        or "not enough memory" in text
        or ("can't allocate memory" in text)
    )
