"""The examples of many jobs, laid out once: tokens, shared rows, positions, what is read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from workbench.methods.one_shot.example import Example
from workbench.methods.one_shot.job import OneShotJob
from workbench.methods.one_shot.losses import KINDS, Kind, Readings
from workbench.models.hooked import HookedModel
from workbench.models.tail import Recording
from workbench.models.text import completion_ids, prompt_ids
from workbench.steering.positions import Positions
from workbench.steering.scoring import CompletionRows

Ids = tuple[list[int], list[int]]


@dataclass(frozen=True, eq=False)
class JobTexts:
    """One job's rows: which of the recording's, with what sign, edited where, read where.

    `mask` is None where every position is edited. `readings.row` counts the job's own rows,
    `completion` says whose loss each reading belongs to, and `example` whose text each row holds.
    """

    shared: tuple[int, ...]
    sign: Float[Tensor, " row"]
    mask: Bool[Tensor, "row pos"] | None
    readings: Readings
    completion: Int[Tensor, " token"]
    lengths: Float[Tensor, " completion"]
    example: tuple[int, ...]
    width: int

    @property
    def tokens(self) -> int:
        """How many columns its rows have in all, padding included."""
        return len(self.shared) * self.width

    def selecting(self, rows: Sequence[int]) -> JobTexts:
        """Some of its rows, with the completions that they hold, in the order asked."""
        index = torch.tensor(rows, device=self.sign.device)
        place = torch.full_like(self.sign, -1, dtype=torch.long)
        place[index] = torch.arange(len(index), device=index.device)
        order = torch.cat([(self.readings.row == row).nonzero().squeeze(-1) for row in rows])
        kept, renumbered = self.completion[order].unique(return_inverse=True)
        read = self.readings
        names = ("column", "target", "kind", "coldness", "floor")
        chosen = {name: getattr(read, name)[order] for name in names}
        imitated = read.imitated
        if imitated is not None:
            which = read.kind.eq(KINDS.index("imitation")).cumsum(0) - 1
            imitated = imitated[which[order][chosen["kind"] == KINDS.index("imitation")]]
        return replace(
            self,
            shared=tuple(self.shared[row] for row in rows),
            sign=self.sign[index],
            mask=None if self.mask is None else self.mask[index],
            readings=Readings(row=place[read.row[order]], imitated=imitated, **chosen),
            completion=renumbered,
            lengths=self.lengths[kept],
            example=tuple(self.example[row] for row in rows),
        )

    def completions_of(self, rows: Sequence[int]) -> list[int]:
        """Which of the job's completions some of its rows hold."""
        held = torch.isin(self.readings.row, torch.tensor(rows, device=self.sign.device))
        return self.completion[held].unique().tolist()


def lay_out(
    model: HookedModel, jobs: Sequence[OneShotJob], share: bool = True
) -> tuple[Recording, list[JobTexts]]:
    """Tokenize every completion of every job once, and record the clean pass over them.

    Raises ValueError for a merged boundary and for a text over the context.
    """
    texts = [[_ids(model, example) for example in job.examples] for job in jobs]
    number: dict[tuple, int] = {}
    for head, tail in (pair for job in texts for pairs in job for pair in pairs):
        number.setdefault((tuple(head), tuple(tail)), len(number))
    rows = CompletionRows.of_ids(model, [(list(head), list(tail)) for head, tail in number])
    masks = _Masks(model, rows)
    groups: dict[tuple[int, ...], int] = {}
    by_job = []
    for job, ids in zip(jobs, texts, strict=True):
        by_example = []
        for example, pairs in zip(job.examples, ids, strict=True):
            members = [number[tuple(head), tuple(tail)] for head, tail in pairs]
            mask = masks.of(job.positions if example.positions is None else example.positions)
            together = tuple(dict.fromkeys(members))
            own: list[tuple[int, ...]] = [(member,) for member in members]
            if share and job.batch_size is None and masks.agree(mask, together):
                own = [together]
            for group in own:
                groups.setdefault(group, len(groups))
            by_example.append((example, members, own, mask))
        by_job.append(by_example)
    recording = Recording.of(
        model,
        rows.batch.tokens,
        rows.batch.attention_mask,
        rows.prompt_lengths,
        list(groups),
        first=min(layer for job in jobs for layer in job.layers),
        last=max(min(job.layers) for job in jobs),
    )
    place = {group: at for at, group in enumerate(recording.branches.groups)}
    return recording, [
        _job_texts(job, by_example, recording, rows, place)
        for job, by_example in zip(jobs, by_job, strict=True)
    ]


def _ids(model: HookedModel, example: Example) -> list[Ids]:
    """Prompt and completion in tokens, completion by completion."""
    pairs = [
        completion_ids(model, example.prompt, text)
        for text in (*example.promote, *example.suppress)
    ]
    head = prompt_ids(model, example.prompt) if example.imitate else []
    return pairs + [(head, each.tokens.tolist()) for each in example.imitate]


class _Masks:
    """Positions on the separate rows, each asked for once."""

    def __init__(self, model: HookedModel, rows: CompletionRows):
        self._model, self._rows, self._window = model, rows, rows.window
        self._known: dict[int, Bool[Tensor, "batch pos"] | None] = {}

    def of(self, positions: Positions | Tensor) -> Bool[Tensor, "batch pos"] | None:
        if id(positions) not in self._known:
            bound = Positions.of(positions).bound_to(self._model)
            self._known[id(positions)] = bound.within(self._window)
        return self._known[id(positions)]

    def agree(self, mask: Bool[Tensor, "batch pos"] | None, members: Sequence[int]) -> bool:
        """Whether the prompt that these rows share is edited alike in all of them."""
        if mask is None or len(members) == 1:
            return True
        head = int(self._rows.prompt_lengths[members[0]])
        prompts = mask[list(members), :head]
        return bool((prompts == prompts[:1]).all())


def _job_texts(
    job: OneShotJob,
    by_example: Sequence[tuple],
    recording: Recording,
    rows: CompletionRows,
    place: dict[tuple[int, ...], int],
) -> JobTexts:
    branches, device = recording.branches, rows.batch.tokens.device
    shared: list[int] = []
    lengths: list[float] = []
    signs, masks, spots, imitated, owners = [], [], [], [], []
    for number, (example, members, groups, mask) in enumerate(by_example):
        home: dict[int, int] = {}  # of each member: the job's row that holds it
        for group in groups if groups[0] in place else [(member,) for member in groups[0]]:
            at = place[group]
            home |= dict.fromkeys(group, len(shared))
            shared.append(at)
            owners.append(number)
            signs.append(-1.0 if example.negated else 1.0)
            if mask is not None:
                real = branches.branch[at] >= -1
                mask_here = mask[branches.row[at], branches.column[at]] & real
            else:
                mask_here = torch.ones_like(branches.branch[at], dtype=torch.bool)
            masks.append(mask_here)
        for k, member in enumerate(members):
            kind = _kind(job, example, k)
            head = int(rows.prompt_lengths[member])
            own = rows.target[rows.row == member].tolist()
            start = branches.place_of(shared[home[member]], member, head)
            for i, token in enumerate(own):
                at = head - 1 if i == 0 else start + i - 1
                spots.append((home[member], at, token, KINDS.index(kind), len(lengths)))
            if kind == "imitation":
                which = k - len(example.promote) - len(example.suppress)
                imitated.append(example.imitate[which].log_probs)
            lengths.append(float(len(own)))
    columns = torch.tensor(spots, device=device).unbind(-1)
    row, column, target, kinds, completion = columns
    full = lambda value: torch.full((len(row),), float(value), device=device)  # noqa: E731
    everywhere = all(mask is None for *_, mask in by_example)
    return JobTexts(
        shared=tuple(shared),
        sign=torch.tensor(signs, device=device),
        mask=None if everywhere else torch.stack(masks),
        readings=Readings(
            row=row,
            column=column,
            target=target,
            kind=kinds,
            coldness=full(job.coldness).double(),
            floor=full(job.floor),
            imitated=torch.cat(imitated).to(device) if imitated else None,
        ),
        completion=completion,
        lengths=torch.tensor(lengths, device=device),
        example=tuple(owners),
        width=branches.row.shape[1],
    )


def _kind(job: OneShotJob, example: Example, k: int) -> Kind:
    if k < len(example.promote):
        return "promotion"
    if k < len(example.promote) + len(example.suppress):
        return "complement" if job.suppression == "complement" else "log_prob"
    return "imitation"
