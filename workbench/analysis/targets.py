"""The two tokens of a logit difference: what is promoted, and what is suppressed."""

from __future__ import annotations

from collections.abc import Sequence

from workbench.models.hooked import HookedModel
from workbench.models.text import completion_ids


def text_for_each(given: str | Sequence[str], prompts: Sequence[str]) -> tuple[str, ...]:
    """One text for each prompt. Raises ValueError where they don't pair."""
    texts = (given,) * len(prompts) if isinstance(given, str) else tuple(given)
    if len(texts) != len(prompts):
        raise ValueError(
            f"{len(texts)} texts for {len(prompts)} prompts: give one, or one for each"
        )
    return texts


def first_tokens(model: HookedModel, prompts: Sequence[str], texts: Sequence[str]) -> list[int]:
    """The first token of each text after its prompt."""
    return [
        completion_ids(model, prompt, text)[1][0]
        for prompt, text in zip(prompts, texts, strict=True)
    ]
