"""Read the residual stream at chosen layers and positions, in one pass that stops at the last one.

Nothing is kept that was not asked for: of each row a mean over the positions chosen, at the input
of each layer chosen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress

import torch
from jaxtyping import Float
from torch import Tensor
from tqdm.auto import tqdm

from workbench.models.hooked import (
    HookedModel,
    check_layer,
    logits,
    n_layers,
    resid_pre,
    undisturbed,
)
from workbench.models.plain import PlainModel, plain_of
from workbench.models.text import TokenBatch, check_context, completion_ids, pad, prompt_ids
from workbench.steering.hooks import attach
from workbench.steering.positions import Positions
from workbench.steering.window import TokenWindow

LAST_TOKEN = Positions.last()
AFTER_FIRST = Positions.span(1, None)
DEFAULT_BATCH = 32

Reading = Float[Tensor, "row layer position d_model"]
Activations = Float[Tensor, "_ layer d_model"]


def activations(
    model: HookedModel,
    prompts: Sequence[str],
    completions: Sequence[str] | None = None,
    *,
    layers: Sequence[int] | None = None,
    positions: Positions | Sequence[Positions] = LAST_TOKEN,
    batch_size: int = DEFAULT_BATCH,
    progress: bool = False,
) -> Float[Tensor, "prompt layer ... d_model"]:
    """The stream at the input of each layer, averaged over the positions chosen, in float32.

    With several `positions` there is an axis for them. All layers unless `layers` are given.
    Raises ValueError where positions choose no token of a row.
    """
    found: list[Tensor | None] = [None] * len(prompts)
    for rows, read in each_batch(
        model, prompts, completions, layers, positions, batch_size, progress
    ):
        for row, one in zip(rows, read, strict=True):
            found[row] = one.cpu()
    whole = torch.stack([one for one in found if one is not None])
    return whole.squeeze(2) if isinstance(positions, Positions) else whole


def check_read(read: Activations, prompts: int, layers: int) -> None:
    """Raise ValueError unless activations that were given are of so many prompts and layers."""
    if read.shape[:2] != (prompts, layers):
        raise ValueError(
            f"activations of {read.shape[0]} prompts at {read.shape[1]} layers were given, for "
            f"{prompts} prompts and {layers} layers"
        )


def stream_norms(
    model: HookedModel,
    prompts: Sequence[str],
    completions: Sequence[str] | None = None,
    *,
    layers: Sequence[int] | None = None,
    positions: Positions = AFTER_FIRST,
    batch_size: int = DEFAULT_BATCH,
    progress: bool = False,
) -> Float[Tensor, "prompt layer"]:
    """The norm of the stream at the input of each layer, averaged over the positions chosen.

    All but a row's first token unless `positions` are given: in many models that one's norm is
    hundreds of times the others'. Raises as `activations` does.
    """
    found = torch.empty(len(prompts), 0)
    for rows, read in each_batch(
        model, prompts, completions, layers, positions, batch_size, progress, of=_norm
    ):
        if not found.numel():
            found = torch.empty(len(prompts), read.shape[1])
        found[rows] = read[:, :, 0, 0].cpu()
    return found


def each_batch(
    model: HookedModel,
    prompts: Sequence[str],
    completions: Sequence[str] | None = None,
    layers: Sequence[int] | None = None,
    positions: Positions | Sequence[Positions] = LAST_TOKEN,
    batch_size: int = DEFAULT_BATCH,
    progress: bool = False,
    of: Callable[[Tensor], Tensor] | None = None,
) -> Iterator[tuple[list[int], Reading]]:
    """The same, batch by batch of rows of like length: which prompts, and their activations.

    Averaged is the stream, or what `of` makes of it, position by position.
    """
    if not prompts or (completions is not None and len(completions) != len(prompts)):
        count = "no" if completions is None else len(completions)
        raise ValueError(f"{len(prompts)} prompts with {count} completions: nothing to read")
    chosen = [positions] if isinstance(positions, Positions) else list(positions)
    bound = [each.bound_to(model) for each in chosen]
    asked = range(n_layers(model)) if layers is None else layers
    wanted = [check_layer(model, layer) for layer in asked]
    if not wanted or not chosen:
        raise ValueError(f"{len(wanted)} layers and {len(chosen)} positions: nothing to read")
    if completions is None:
        pairs: list[tuple[list[int], list[int]]] = [(prompt_ids(model, p), []) for p in prompts]
    else:
        pairs = [completion_ids(model, p, c) for p, c in zip(prompts, completions, strict=True)]
    for i, (head, tail) in enumerate(pairs):
        check_context(model, len(head) + len(tail), f"prompt {i}")
    order = sorted(range(len(pairs)), key=lambda i: sum(map(len, pairs[i])))
    starts = tqdm(range(0, len(order), batch_size), desc="reading", disable=not progress)
    for start in starts:
        rows = order[start : start + batch_size]
        batch = pad(model, [pairs[i][0] + pairs[i][1] for i in rows], side="right")
        lengths = torch.tensor([len(pairs[i][0]) for i in rows], device=batch.tokens.device)
        window = TokenWindow.of(batch, lengths)
        weights = torch.stack([_weights(each.taking(rows), window, rows) for each in bound])
        yield rows, _read(model, batch, wanted, weights, of or _itself)


def _weights(
    positions: Positions, window: TokenWindow, rows: Sequence[int]
) -> Float[Tensor, "batch pos"]:
    """What each column counts in its row's mean."""
    mask = positions.within(window)
    real = window.index >= 0
    mask = real if mask is None else mask & real
    counts = mask.sum(-1, keepdim=True)
    if (counts == 0).any():
        empty = rows[int((counts[:, 0] == 0).nonzero()[0])]
        raise ValueError(f"the positions ({positions.kind}) choose no token of prompt {empty}")
    return mask / counts


@torch.no_grad()
def _read(
    model: HookedModel,
    batch: TokenBatch,
    layers: Sequence[int],
    weights: Float[Tensor, "position batch pos"],
    of: Callable[[Tensor], Tensor],
) -> Reading:
    last = max(layers)
    found: dict[int, Tensor] = {}

    def reader(layer: int) -> Callable[[Tensor], None]:
        def read(stream: Tensor) -> None:
            # A mean by matrix product: [position, pos] times [pos, d_model] for each row.
            found[layer] = weights.to(stream).transpose(0, 1) @ of(stream)
            if layer == last:
                raise _EnoughError

        return read

    with undisturbed(model), ExitStack() as stack:
        plain = plain_of(model)  # before there are hooks
        for layer in sorted(set(layers)):
            handle = attach(reader(layer), resid_pre(layer), model, plain)
            stack.callback(handle.remove)
        with suppress(_EnoughError):
            _run(model, plain, batch)
    return torch.stack([found[layer].float() for layer in layers], dim=1)


def _run(model: HookedModel, plain: PlainModel | None, batch: TokenBatch) -> None:
    if plain is None:
        logits(model, batch.tokens, batch.attention_mask)
    else:
        plain.hf_model(batch.tokens, attention_mask=batch.attention_mask, use_cache=False)


def _itself(stream: Tensor) -> Tensor:
    return stream


def _norm(stream: Tensor) -> Tensor:
    return stream.float().norm(dim=-1, keepdim=True).to(stream)


class _EnoughError(Exception):
    """Everything that was wanted of a pass is there."""
