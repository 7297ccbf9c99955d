"""What passes through hooks: everywhere, or at one token of each row."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager

import torch
from jaxtyping import Float, Int
from torch import Tensor

from workbench.models.hooked import HookedModel
from workbench.models.plain import PlainModel
from workbench.steering.hooks import attach

Captured = dict[str, Float[Tensor, "batch ..."]]


@contextmanager
def captured(
    model: HookedModel,
    hooks: Iterable[str],
    columns: Int[Tensor, " batch"] | None = None,
    plain: PlainModel | None = None,
) -> Iterator[Captured]:
    """By hook, what passes it, at each row's column where these are given.

    Filled by the forward pass inside the block. Entered before `steer`, it sees what steering
    finds; entered inside, what steering leaves. With `plain`, given by `plain_for`, passes of the
    plain model are read, at inputs of blocks and at the last one's output.
    """
    found: Captured = {}

    def keeping(hook: str) -> Callable[[Tensor], None]:
        def keep(x: Tensor) -> None:
            if columns is None:
                found[hook] = x.detach().clone()
            else:
                row = torch.arange(len(columns), device=x.device)
                found[hook] = x[row, columns.to(x.device)].detach().clone()

        return keep

    with ExitStack() as stack:
        for hook in hooks:
            stack.callback(attach(keeping(hook), hook, model, plain).remove)
        yield found
