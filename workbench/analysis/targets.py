"""The two tokens of a logit difference: what is promoted, and what is suppressed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Int
from torch import Tensor

from workbench.models.hooked import HookedModel
from workbench.models.text import completion_ids


@dataclass(frozen=True, eq=False)
class Targets:
    """For each prompt the texts, and the first token of each, promoted and then suppressed."""

    promoted: tuple[str, ...]
    suppressed: tuple[str, ...]
    tokens: Int[Tensor, "2 prompt"]

    @classmethod
    def of(
        cls,
        model: HookedModel,
        prompts: Sequence[str],
        promoted: str | Sequence[str],
        suppressed: str | Sequence[str],
    ) -> Targets:
        """A text for all prompts, or one for each.

        Raises ValueError where there are no prompts, where texts and prompts don't pair, and where
        both texts begin with the same token.
        """
        if not prompts:
            raise ValueError("there are no prompts: nothing follows them")
        texts = [_for_each(given, prompts) for given in (promoted, suppressed)]
        tokens = torch.tensor(
            [
                [
                    completion_ids(model, prompt, text)[1][0]
                    for prompt, text in zip(prompts, some, strict=True)
                ]
                for some in texts
            ]
        )
        if (same := tokens[0] == tokens[1]).any():
            i = int(same.nonzero()[0])
            raise ValueError(
                f"{texts[0][i]!r} and {texts[1][i]!r} begin with the same token after prompt {i}"
            )
        return cls(texts[0], texts[1], tokens)


def _for_each(given: str | Sequence[str], prompts: Sequence[str]) -> tuple[str, ...]:
    texts = (given,) * len(prompts) if isinstance(given, str) else tuple(given)
    if len(texts) != len(prompts):
        raise ValueError(
            f"{len(texts)} texts for {len(prompts)} prompts: give one, or one for each"
        )
    return texts
