"""From which positions a vector acts: its effect on a logit difference, shared out over the prompt.

Integrated gradients (Sundararajan et al. 2017, arXiv 1703.01365) on the vector's scale at each
position: the gradient along the vector, averaged over scales from 0 to 1. The parts add up to the
whole change but for the error of the quadrature, which is given. Unlike `position_map`, which asks
what one position does alone, shares of positions that act together are shared between them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor
from tqdm.auto import tqdm

from workbench.analysis.targets import Targets
from workbench.analysis.vector_lens import visible_token
from workbench.models.hooked import HookedModel, device_of, logits, resid_pre, undisturbed
from workbench.models.text import prompt_ids
from workbench.steering.hooks import steer
from workbench.steering.vector import SteeringVector

BATCH = 8


@dataclass(frozen=True, eq=False)
class SourceAttribution:
    """A vector's effect on the logit difference after one prompt, by the position it is added at.

    In logits, promoted minus suppressed. `parts` add up to `change` but for `error`.
    """

    tokens: tuple[str, ...]
    parts: Float[np.ndarray, " pos"]
    change: float
    steps: int

    @property
    def error(self) -> float:
        """What the quadrature misses: the whole change less the parts' sum."""
        return self.change - float(self.parts.sum())

    def to_frame(self) -> pd.DataFrame:
        """One row a position: position, token, part (logits), share of the sum of |parts|."""
        return pd.DataFrame(
            {
                "position": range(len(self.tokens)),
                "token": self.tokens,
                "part": self.parts,
                "share": np.abs(self.parts) / (np.abs(self.parts).sum() or 1.0),
            }
        )


def attribute_sources(
    model: HookedModel,
    vector: SteeringVector,
    prompt: str,
    promoted: str,
    suppressed: str,
    *,
    steps: int = 32,
    progress: bool = False,
) -> SourceAttribution:
    """Share the change of the logit difference after `prompt` out over its positions.

    The vector is added at all of its layers and every position; `steps` points of Gauss and
    Legendre between scale 0 and 1. Raises ValueError where both texts begin with the same token.
    """
    if steps < 1:
        raise ValueError(f"steps must be 1 or more, got {steps}")
    vector.check_model(model)
    first, second = (int(each) for each in Targets.of(model, [prompt], promoted, suppressed).tokens)
    ids = prompt_ids(model, prompt)
    points, weights = _quadrature(steps)
    device = device_of(model)
    parts = np.zeros(len(ids))
    with undisturbed(model):
        for start in tqdm(range(0, steps, BATCH), desc="sources", disable=not progress):
            some = points[start : start + BATCH]
            scales = torch.tensor(some, dtype=torch.float32, device=device)[:, None]
            scales = scales.expand(-1, len(ids)).clone().requires_grad_()
            found = _difference(model, vector, ids, scales, first, second)
            (slopes,) = torch.autograd.grad(found.sum(), scales)
            share = torch.tensor(weights[start : start + BATCH], device=device)
            parts += (slopes.double() * share[:, None]).sum(0).cpu().numpy()
        ends = torch.tensor([[0.0], [1.0]], device=device).expand(-1, len(ids))
        with torch.no_grad():
            off, on = _difference(model, vector, ids, ends, first, second).double().tolist()
    names = tuple(visible_token(model.tokenizer, i) for i in ids)
    return SourceAttribution(names, parts, on - off, steps)


def _difference(
    model: HookedModel,
    vector: SteeringVector,
    ids: Sequence[int],
    scales: Float[Tensor, "row pos"],
    promoted: int,
    suppressed: int,
) -> Float[Tensor, " row"]:
    """The logit difference at the last position, each row with scales of its own."""
    tokens = torch.tensor([list(ids)] * len(scales), device=scales.device)
    values = vector.values.to(scales.device)

    def add(resid: Tensor, hook: object) -> Tensor:
        return (resid + scales[..., None] * values).to(resid.dtype)

    with steer(model, [(resid_pre(layer), add) for layer in vector.layers]):
        last = logits(model, tokens)[:, -1].float()
    return last[:, promoted] - last[:, suppressed]


def _quadrature(steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Points and weights of Gauss and Legendre on 0 to 1."""
    points, weights = np.polynomial.legendre.leggauss(steps)
    return (points + 1) / 2, weights / 2
