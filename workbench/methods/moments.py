"""Means and covariances of activations, added up in float64 without keeping any activation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from workbench.models.hooked import HookedModel, d_model, n_layers
from workbench.steering.activations import DEFAULT_BATCH, LAST_TOKEN, Activations, each_batch
from workbench.steering.positions import Positions


@dataclass(frozen=True, eq=False)
class Moments:
    """Of `n` prompts at each of `layers`, in float64; `covariance` where it was asked for.

    The covariance divides by n - 1.
    """

    layers: tuple[int, ...]
    n: int
    mean: Float[Tensor, "layer d_model"]
    covariance: Float[Tensor, "layer d_model d_model"] | None

    @classmethod
    def of(cls, read: Activations, layers: Sequence[int]) -> Moments:
        """The means of activations that are known."""
        return cls(tuple(layers), len(read), read.double().mean(0).cpu(), None)

    def at(self, layer: int) -> Float[Tensor, " d_model"]:
        """The mean at one layer. Raises KeyError for one that was not read."""
        return self.mean[self._place(layer)]

    def covariance_at(self, layer: int) -> Float[Tensor, "d_model d_model"]:
        """The covariance at one layer. Raises KeyError where there is none."""
        if self.covariance is None:
            raise KeyError("no covariance was asked for: moments(…, covariance=True)")
        return self.covariance[self._place(layer)]

    def _place(self, layer: int) -> int:
        if layer not in self.layers:
            raise KeyError(f"layer {layer} was not read; there are {list(self.layers)}")
        return self.layers.index(layer)


def moments(
    model: HookedModel,
    prompts: Sequence[str],
    completions: Sequence[str] | None = None,
    *,
    layers: Sequence[int] | None = None,
    positions: Positions = LAST_TOKEN,
    covariance: bool = False,
    batch_size: int = DEFAULT_BATCH,
    progress: bool = False,
) -> Moments:
    """Mean, and on request covariance, of the stream at the input of each layer.

    Of each prompt the mean over `positions` counts once. Sums are of what is left after the first
    row, so that a large common part costs no digits. Raises ValueError as `activations` does.
    """
    wanted = tuple(layers) if layers is not None else tuple(range(n_layers(model)))
    shape = (len(wanted), d_model(model))
    count, shift = 0, torch.zeros(shape, dtype=torch.float64)
    total = torch.zeros_like(shift)
    squares = torch.zeros(*shape, shape[-1], dtype=torch.float64) if covariance else None
    for _, read in each_batch(model, prompts, completions, wanted, positions, batch_size, progress):
        rows = read[:, :, 0].double().cpu()
        if count == 0:
            shift = rows[0].clone()
        rows = rows - shift
        total += rows.sum(0)
        if squares is not None:
            squares += torch.einsum("rli,rlj->lij", rows, rows)
        count += len(rows)
    mean = total / count
    if squares is not None:
        if count < 2:
            raise ValueError("a covariance needs at least two prompts")
        squares = (squares - count * torch.einsum("li,lj->lij", mean, mean)) / (count - 1)
    return Moments(wanted, count, mean + shift, squares)
