"""Score the same texts under many interventions: what lies below them is run once.

`log_prob` runs the whole model on every prompt with every completion. Where many vectors of one
layer are judged on the same texts, three things can be saved, and the values stay equal: blocks
below the layer are run once (models/tail.py), completions of one prompt share its row
(models/branches.py), and only the positions that predict them are unembedded.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Int
from torch import Tensor
from tqdm.auto import tqdm

from workbench.models.hooked import HookedModel, hook_point, undisturbed
from workbench.models.plain import is_block_input
from workbench.models.tail import Recording, StreamEdit
from workbench.models.text import completion_ids
from workbench.steering.interventions import Edit, Steering, as_interventions, rows_of
from workbench.steering.scoring import (
    CompletionRows,
    LogProbs,
    at_least_float32,
    log_softmax_at,
)
from workbench.steering.window import TokenWindow

DEFAULT_BATCH = 16


def lowest_layer(model: HookedModel, steering: Steering) -> int | None:
    """The first layer that interventions edit, where `Prepared` can score them; else None.

    It cannot where they go row by row, are gated, or edit anything but inputs of blocks.
    """
    interventions = as_interventions(steering)
    edits = [edit for one in interventions for edit in one.edits(model)]
    layers = [is_block_input(model, edit.hook) for edit in edits]
    if rows_of(interventions) is not None or any(edit.when is not None for edit in edits):
        return None
    known = [layer for layer in layers if layer is not None]
    return min(known) if known and len(known) == len(layers) else None


@dataclass(frozen=True, eq=False)
class Scored:
    """Log-probs of completions, and whether greedy decoding would write each, token by token."""

    log_probs: LogProbs
    greedy: tuple[bool, ...]


@dataclass(frozen=True, eq=False)
class Prepared:
    """Prompts with completions, run once up to `layer`. Made by `Prepared.of`."""

    model: HookedModel
    layer: int
    completions: tuple[str, ...]
    batches: tuple[PreparedRows, ...]

    @classmethod
    @torch.no_grad()
    def of(
        cls,
        model: HookedModel,
        prompts: Sequence[str],
        completions: Sequence[str],
        layer: int,
        batch_size: int = DEFAULT_BATCH,
    ) -> Prepared:
        """Run the model up to `layer` on pairs of prompt and completion.

        What enters the layer is kept: `d_model` numbers a token. Raises ValueError for texts that
        do not pair up, that merge at their boundary, or that are longer than the context.
        """
        if len(prompts) != len(completions) or not prompts:
            raise ValueError(f"{len(prompts)} prompts for {len(completions)} completions")
        by_prompt: dict[str, list[int]] = {}
        for i, prompt in enumerate(prompts):
            by_prompt.setdefault(prompt, []).append(i)
        # Prompts of like length go together, so that little is padding.
        order = sorted(by_prompt, key=lambda prompt: len(prompt))
        batches = []
        with undisturbed(model):
            for start in range(0, len(order), batch_size):
                members = [by_prompt[prompt] for prompt in order[start : start + batch_size]]
                which = [i for group in members for i in group]
                pairs = [completion_ids(model, prompts[i], completions[i]) for i in which]
                rows = CompletionRows.of_ids(model, pairs)
                batches.append(PreparedRows.of(model, which, members, rows, layer))
        return cls(model, layer, tuple(completions), tuple(batches))

    @torch.no_grad()
    def score(
        self, steering: Steering = (), coldness: int | float = 1.0, progress: bool = False
    ) -> Scored:
        """Log-probs as `log_prob` gives them, and which completions greedy decoding would write.

        Raises ValueError for interventions that act below the layer or elsewhere than on a block's
        input, that go row by row, or that edit a prompt otherwise for one of its completions.
        """
        interventions = as_interventions(steering)
        if rows_of(interventions) is not None:
            raise ValueError("interventions that go row by row are scored by `log_prob`")
        values: dict[int, Tensor] = {}
        greedy: dict[int, bool] = {}
        tokens: dict[int, tuple[str, ...]] = {}
        with undisturbed(self.model):
            for batch in tqdm(self.batches, desc="scoring", disable=not progress):
                taken = [one.taking(batch.which) for one in interventions]
                edits = [edit for one in taken for edit in one.edits(self.model)]
                read = batch.read(self.model, edits)
                counts = batch.rows.row.bincount().tolist()
                log_probs = log_softmax_at(read, batch.rows.target, coldness).cpu().split(counts)
                likeliest = at_least_float32(read).argmax(-1) == batch.rows.target
                for i, own, hits, ids in zip(
                    batch.which,
                    log_probs,
                    likeliest.split(counts),
                    batch.rows.target.split(counts),
                    strict=True,
                ):
                    values[i], greedy[i] = own, bool(hits.all())
                    tokens[i] = tuple(self.model.tokenizer.decode([t]) for t in ids.tolist())
        ordered = [values[i] for i in range(len(self.completions))]
        return Scored(
            LogProbs(
                completions=self.completions,
                total=torch.stack([each.sum() for each in ordered]),
                token_log_probs=tuple(ordered),
                tokens=tuple(tokens[i] for i in range(len(ordered))),
                coldness=coldness,
            ),
            tuple(greedy[i] for i in range(len(ordered))),
        )


@dataclass(frozen=True, eq=False)
class PreparedRows:
    """Some of the texts: `which` of all, laid out on separate rows, and recorded on shared ones.

    `shared` and `place` say where on the shared rows the logits of each completion token are.
    """

    which: tuple[int, ...]
    rows: CompletionRows
    recording: Recording
    shared: Int[Tensor, " token"]
    place: Int[Tensor, " token"]

    @classmethod
    def of(
        cls,
        model: HookedModel,
        which: Sequence[int],
        members: Sequence[Sequence[int]],
        rows: CompletionRows,
        layer: int,
    ) -> PreparedRows:
        """Run `rows` up to `layer`; those of the same group of `members` share their prompt."""
        at = {i: row for row, i in enumerate(which)}
        recording = Recording.of(
            model,
            rows.batch.tokens,
            rows.batch.attention_mask,
            rows.prompt_lengths,
            [tuple(at[i] for i in group) for group in members],
            first=layer,
            last=layer,
        )
        shared, place = recording.branches.places_of(rows.row, rows.column)
        return cls(tuple(which), rows, recording, shared, place)

    def read(self, model: HookedModel, edits: Sequence[Edit]) -> Tensor:
        """The logits that predict each completion token, under edits from its layer on."""
        layer = self.recording.first
        tail = self.recording.tail(layer, range(len(self.recording.branches.groups)))
        passed = tail.run(stream_edits(model, layer, edits, self.rows.window, self._shared_mask))
        return passed.logits_at(self.shared, self.place)

    def _shared_mask(self, mask: Bool[Tensor, "batch pos"]) -> Bool[Tensor, "shared new_pos"]:
        """A mask of the separate rows on the shared ones. Raises ValueError where they disagree."""
        branches = self.recording.branches
        for group in branches.groups:
            prompts = mask[list(group), : branches.prompt_lengths[group[0]]]
            if not (prompts == prompts[:1]).all():
                raise ValueError(
                    "these positions edit a prompt otherwise for one of its completions than for "
                    "another: score them with `log_prob`"
                )
        return mask[branches.row, branches.column] & (branches.branch >= -1)


def stream_edits(
    model: HookedModel,
    layer: int,
    edits: Sequence[Edit],
    window: TokenWindow,
    arranged: Callable[[Tensor], Tensor] = lambda mask: mask,
) -> dict[int, StreamEdit]:
    """What edits do to the inputs of layers from `layer` on, for a replayed tail.

    `arranged` brings a mask of the window's rows onto those that are replayed. Raises ValueError
    for edits below the layer or elsewhere, and for gates.
    """
    by_layer: dict[int, list[StreamEdit]] = {}
    for edit in edits:
        at = is_block_input(model, edit.hook)
        if at is None or at < layer:
            raise ValueError(
                f"these texts are prepared for edits of resid_pre from layer {layer} on, not "
                f"for one at {edit.hook}: score them with `log_prob`"
            )
        if edit.when is not None:
            raise ValueError("a gate is decided row by row: score these texts with `log_prob`")
        mask = edit.positions.within(window)
        by_layer.setdefault(at, []).append(
            _edited(model, edit, None if mask is None else arranged(mask))
        )
    return {at: _all(some) for at, some in by_layer.items()}


def _edited(model: HookedModel, edit: Edit, mask: Bool[Tensor, "shared pos"] | None) -> StreamEdit:
    point = hook_point(model, edit.hook)

    def function(resid: Tensor) -> Tensor:
        edited = edit.apply(resid, hook=point)
        if edited is None:
            return resid
        return edited if mask is None else torch.where(mask[..., None], edited, resid)

    return function


def _all(edits: Sequence[StreamEdit]) -> StreamEdit:
    """One after the other."""

    def function(resid: Tensor) -> Tensor:
        for edit in edits:
            resid = edit(resid)
        return resid

    return function
