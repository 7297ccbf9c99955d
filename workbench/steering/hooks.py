"""Attach interventions to a model for the length of a `with` block, and leave nothing behind."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager

import torch
from jaxtyping import Int
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle
from transformer_lens.hook_points import HookPoint

from workbench.models.hooked import HookedModel, hook_point, resid_end, watch_forwards
from workbench.models.plain import PlainModel, is_block_input, plain_of
from workbench.steering.interventions import Edit, Steering, as_interventions, rows_of
from workbench.steering.window import TokenWindow, WindowTracker

StreamFunction = Callable[[Tensor], "Tensor | None"]


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
    plain: PlainModel | None = None,
) -> Iterator[None]:
    """Attach edits that are already made for this model; `steer` is the door for users.

    With `plain`, given by `plain_for`, passes of the plain model are edited, and no others.
    """
    if not edits:
        yield
        return
    given = None if prompt_lengths is None else torch.as_tensor(prompt_lengths)
    tracker = WindowTracker(model, given)
    with ExitStack() as stack:
        stack.enter_context(watch_forwards(plain.hf_model if plain else model, tracker.see))
        for edit in edits:
            function = _edited(edit, hook_point(model, edit.hook), tracker, rows)
            stack.callback(attach(function, edit.hook, model, plain).remove)
        yield


def plain_for(model: HookedModel, edits: Sequence[Edit]) -> PlainModel | None:
    """The plain model where it may be used: it knows no hook but the inputs of its blocks."""
    if any(is_block_input(model, edit.hook) is None for edit in edits):
        return None
    return plain_of(model)


def attach(
    function: StreamFunction, hook: str, model: HookedModel, plain: PlainModel | None
) -> RemovableHandle:
    """Let `function` edit the stream at a hook: the one place that knows which model runs.

    A hook point's module gets the hook itself, not TransformerLens's own list, which `reset_hooks`
    empties.
    """
    if plain is None:
        return hook_point(model, hook).register_forward_hook(lambda module, args, x: function(x))
    layer = is_block_input(model, hook)
    if layer is None and hook != resid_end(model):
        raise AssertionError("plain_for gives no model for other hooks")

    def before(module: nn.Module, args: tuple, kwargs: dict) -> tuple[tuple, dict] | None:
        edited = function(args[0] if args else kwargs["hidden_states"])
        if edited is None:
            return None
        if args:
            return (edited, *args[1:]), kwargs
        return args, {**kwargs, "hidden_states": edited}

    place = plain.final_norm if layer is None else plain.blocks[layer]
    return place.register_forward_pre_hook(before, with_kwargs=True)


def _edited(
    edit: Edit, point: HookPoint, tracker: WindowTracker, rows: int | None
) -> StreamFunction:
    """A function of the stream that edits it where the edit says."""

    def function(resid: Tensor) -> Tensor | None:
        window = tracker.window
        if window is None:
            raise RuntimeError(f"{edit.hook} ran outside a forward pass of its model")
        if rows is not None and resid.shape[0] != rows:
            raise ValueError(
                f"the interventions are made for {rows} rows, the batch has {resid.shape[0]} "
                "(axis batch)"
            )
        if edit.reads is not None:
            edit.reads(resid, window)
        edited = edit.apply(resid, hook=point)
        return None if edited is None else _where_asked(edit, window, resid, edited)

    return function


def _where_asked(edit: Edit, window: TokenWindow, resid: Tensor, edited: Tensor) -> Tensor:
    """The edited stream at the positions and rows of the edit, the stream itself elsewhere."""
    mask = edit.positions.within(window)
    for rows in (edit.rows, None if edit.when is None else edit.when()):
        if rows is not None:
            column = rows[:, None]
            mask = column if mask is None else mask & column.to(mask.device)
    if mask is None:
        return edited
    return torch.where(mask[..., None].to(resid.device), edited, resid)
