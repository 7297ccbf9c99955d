"""Choose the next token of each row. Knows nothing of models or steering."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor


@dataclass(frozen=True)
class Sampler:
    """Greedy at temperature 0, else nucleus sampling with one random stream a row.

    Since each row draws from its own stream, what a row becomes does not depend on the rows
    beside it or on the batch size.
    """

    temperature: int | float
    top_p: int | float
    draws: Float[Tensor, "batch step"]

    @classmethod
    def of(
        cls, temperature: int | float, top_p: int | float, seeds: list[int], max_new_tokens: int
    ) -> Sampler:
        """One seed a row. Raises ValueError for temperatures under 0, top_p outside (0, 1]."""
        if not temperature >= 0 or temperature == float("inf"):
            raise ValueError(f"temperature must be a number of 0 or more, got {temperature}")
        if not 0 < top_p <= 1:
            raise ValueError(f"top_p must be over 0 and at most 1, got {top_p}")
        streams = [torch.Generator().manual_seed(seed) for seed in seeds]
        draws = [torch.rand(max_new_tokens, generator=g, dtype=torch.float64) for g in streams]
        return cls(temperature, top_p, torch.stack(draws))

    def __call__(self, logits: Float[Tensor, "batch d_vocab"], step: int) -> Int[Tensor, " batch"]:
        """The token of each row at this step."""
        if self.temperature == 0:
            return logits.argmax(-1)
        probs = (logits.double() / self.temperature).softmax(-1)
        ordered, ids = probs.sort(-1, descending=True)
        before = ordered.cumsum(-1) - ordered  # mass of the tokens likelier than this one
        nucleus = ordered.masked_fill(before >= self.top_p, 0.0)
        reached = nucleus.cumsum(-1)
        draw = self.draws[:, step].to(logits.device)[:, None] * reached[:, -1:]
        place = (reached <= draw).sum(-1, keepdim=True).clamp(max=probs.shape[-1] - 1)
        return ids.gather(-1, place).squeeze(-1)


def row_seeds(seed: int | None, count: int) -> list[int]:
    """A seed for each row; without one, torch's global generator decides (`torch.manual_seed`)."""
    if seed is None:
        return torch.randint(2**62, (count,)).tolist()
    first = torch.Generator().manual_seed(seed)
    return torch.randint(2**62, (count,), generator=first).tolist()
