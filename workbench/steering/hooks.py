"""Attach interventions to a model for the length of a `with` block, and leave nothing behind."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

import torch
from jaxtyping import Int
from torch import Tensor

from workbench.models.hooked import HookedModel, hook_point, watch_forwards
from workbench.steering.interventions import Edit, Steering, as_interventions, rows_of
from workbench.steering.positions import TokenWindow, WindowTracker


@contextmanager
def steer(
    model: HookedModel,
    *steering: Steering,
    prompt_lengths: Int[Tensor, " batch"] | Sequence[int] | None = None,
) -> Iterator[HookedModel]:
    """Steer every TransformerLens call inside the block; nests, composes, leaves nothing behind.

    Interventions act in the order given. A forward pass with an empty key-value cache is read as
    the prompt and later cached passes as the completion, padding taken from the attention mask;
    `prompt_lengths` says how many tokens of each row are prompt where a pass holds both.

    Raises ValueError for a vector of another model or width.
    """
    interventions = as_interventions(steering)
    edits = [edit for intervention in interventions for edit in intervention.edits(model)]
    with apply_edits(model, edits, prompt_lengths, rows=rows_of(interventions)):
        yield model


@contextmanager
def apply_edits(
    model: HookedModel,
    edits: Sequence[Edit],
    prompt_lengths: Int[Tensor, " batch"] | Sequence[int] | None = None,
    rows: int | None = None,
    window: TokenWindow | None = None,
) -> Iterator[None]:
    """Attach edits that are already made for this model; `steer` is the door for users.

    With a `window` nothing is watched: every pass inside is over those tokens (a replayed tail).
    """
    if not edits:
        yield
        return
    given = None if prompt_lengths is None else torch.as_tensor(prompt_lengths)
    tracker = WindowTracker(model, given)
    tracker.window = window
    with ExitStack() as stack:
        if window is None:
            stack.enter_context(watch_forwards(model, tracker.see))
        for edit in edits:
            # The hook is put on the hook point's module itself, not in TransformerLens's own
            # list, which `reset_hooks` empties.
            handle = hook_point(model, edit.hook).register_forward_hook(_hook(edit, tracker, rows))
            stack.callback(handle.remove)
        yield


def _hook(edit: Edit, tracker: WindowTracker, rows: int | None):  # type: ignore[no-untyped-def]
    """A PyTorch forward hook that edits the stream where the edit says."""

    def hook(module, args: tuple, resid: Tensor) -> Tensor | None:  # type: ignore[no-untyped-def]
        window = tracker.window
        if window is None:
            raise RuntimeError(f"{edit.hook} ran outside a forward pass of its model")
        if rows is not None and resid.shape[0] != rows:
            raise ValueError(
                f"the interventions are made for {rows} rows, the batch has {resid.shape[0]} "
                "(axis batch)"
            )
        edited = edit.apply(resid, hook=module)
        return None if edited is None else _where_asked(edit, window, resid, edited)

    return hook


def _where_asked(edit: Edit, window: TokenWindow, resid: Tensor, edited: Tensor) -> Tensor:
    """The edited stream at the positions and rows of the edit, the stream itself elsewhere."""
    mask = edit.positions.within(window)
    if edit.rows is not None:
        rows = edit.rows[:, None].to(resid.device)
        mask = rows if mask is None else mask & rows
    if mask is None:
        return edited
    return torch.where(mask[..., None], edited, resid)
