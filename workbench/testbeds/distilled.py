"""The parent's own answers and requests, to train on where a testbed should stay as it is."""

from __future__ import annotations

from collections.abc import Sequence

from workbench.models.hooked import HookedModel
from workbench.models.text import chat
from workbench.steering.generation import generate


def own_answers(parent: HookedModel, prompts: Sequence[str], tokens: int) -> list[str]:
    """The first `tokens` tokens of the greedy answers, with the end of turn where one was reached.

    An answer that would be empty is the end of turn alone.
    """
    end = str(parent.tokenizer.eos_token)
    made = generate(parent, prompts, max_new_tokens=tokens, details=True)
    return [each.text + (end if each.stopped else "") or end for each in made]


def own_requests(parent: HookedModel, count: int, seed: int, tokens: int = 64) -> list[str]:
    """Requests that the parent writes itself where a user's message would stand.

    Sampled at temperature 1 from its chat format with nothing in it yet (Magpie, Xu et al. 2024,
    arXiv 2406.08464); those that end within `tokens`, each once, so at most `count`.
    """
    opening, _, _ = chat(parent, _USER).partition(_USER)
    made = generate(
        parent,
        [opening] * count,
        max_new_tokens=tokens,
        temperature=1.0,
        seed=seed,
        details=True,
    )
    return list(dict.fromkeys(each.text.strip() for each in made if each.stopped))


_USER = "What the user asks"
