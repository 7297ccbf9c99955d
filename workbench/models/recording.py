"""What blocks are given in one clean pass: the material of the replayed tail (models/tail.py)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from workbench.models.hooked import logits
from workbench.models.plain import PlainModel

Call = tuple[tuple[Any, ...], dict[str, Any]]
Place = tuple[Int[Tensor, " some"], Int[Tensor, " some"]]  # row and column of some tokens


def record(
    runner: Any,
    blocks: Sequence[nn.Module],
    first: int,
    tokens: Int[Tensor, "batch pos"],
    attention_mask: Int[Tensor, "batch pos"],
    plain: PlainModel | None,
    ends: Place,
) -> tuple[list[Call], Float[Tensor, "end d_vocab"], bool]:
    """What blocks `first`.. are given, the logits at `ends`, and whether blocks give tuples."""
    given: list[bool] = []

    def look(module: nn.Module, args: tuple, out: Any) -> None:
        given.append(isinstance(out, tuple))

    def at_ends(module: nn.Module, args: tuple) -> tuple:
        return (args[0][ends][None], *args[1:])  # nobody reads the others

    with _keeping(blocks[first:]) as calls, ExitStack() as stack:
        stack.callback(blocks[-1].register_forward_hook(look).remove)
        if plain is None:
            clean = logits(runner, tokens, attention_mask)[ends]
        else:
            stack.callback(plain.unembed.register_forward_pre_hook(at_ends).remove)
            clean = _run(plain, tokens, attention_mask).logits[0]
    return calls, clean.float(), given[0]


def record_arguments(
    plain: PlainModel,
    first: int,
    last: int,
    tokens: Int[Tensor, "batch pos"],
    attention_mask: Int[Tensor, "batch pos"],
    tuples: bool,
) -> list[Call]:
    """What blocks `first`.. are given, while only those below `last` are run.

    The streams of blocks over `last` are not theirs; everything else is.
    """
    blocks = list(plain.blocks)
    with _keeping(blocks[first:]) as calls, _idle(blocks[last:], tuples):
        handle = plain.final_norm.register_forward_pre_hook(_stop)
        try:
            with suppress(_EnoughError):
                _run(plain, tokens, attention_mask)
        finally:
            handle.remove()
    return calls


def causal_mask(width: int, device: torch.device) -> Bool[Tensor, "1 1 pos pos"]:
    """What attention does that is given no mask: every position sees itself and those before."""
    return torch.ones(1, 1, width, width, dtype=torch.bool, device=device).tril()


def _run(plain: PlainModel, tokens: Tensor, attention_mask: Tensor) -> Any:
    places = (attention_mask.cumsum(-1) - 1).clamp(min=0)
    return plain.hf_model(
        tokens, attention_mask=attention_mask, position_ids=places, use_cache=False
    )


@contextmanager
def _keeping(blocks: Sequence[nn.Module]) -> Iterator[list[Call]]:
    """Whatever these blocks are given inside, in a list."""
    calls: list[Call] = []

    def keep(module: nn.Module, args: tuple, kwargs: dict) -> None:
        calls.append((args, {**kwargs, **_without_cache(kwargs)}))

    with ExitStack() as stack:
        for block in blocks:
            handle = block.register_forward_pre_hook(keep, with_kwargs=True)
            stack.callback(handle.remove)
        yield calls


def _without_cache(kwargs: dict[str, Any]) -> dict[str, Any]:
    off = {"past_key_values": None, "use_cache": False}
    return {name: value for name, value in off.items() if name in kwargs}


@contextmanager
def _idle(blocks: Sequence[nn.Module], tuples: bool) -> Iterator[None]:
    """Blocks that do nothing inside, and give back what they are given."""

    def same(*args: Any, **kwargs: Any) -> Any:
        stream = kwargs["hidden_states"] if "hidden_states" in kwargs else args[0]
        return (stream,) if tuples else stream

    idle: Callable[..., Any] = same
    try:
        for block in blocks:
            block.forward = idle
        yield
    finally:
        for block in blocks:
            block.__dict__.pop("forward", None)


class _EnoughError(Exception):
    """Everything that was wanted of a pass is there."""


def _stop(module: nn.Module, args: tuple) -> None:
    raise _EnoughError
