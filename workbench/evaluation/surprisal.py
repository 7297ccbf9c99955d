"""How surprising a model finds texts: the first check that steered text is still language.

Surprisal is `-log P(token | what came before)` under the unsteered model, in nats, averaged over
a text's tokens. The paper's whole framework (v1, section 2.2) scores with a base model and
in-context samples; this is its plain core.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from workbench.models.hooked import HookedModel
from workbench.models.text import completion_ends, prompt_ids
from workbench.steering.scoring import log_prob


@dataclass(frozen=True)
class Surprisal:
    """Mean surprisal of each text in nats a token; NaN where there was no token to score."""

    texts: tuple[str, ...]
    per_token: tuple[float, ...]
    n_tokens: tuple[int, ...]

    @property
    def n(self) -> int:
        """How many texts had tokens to score."""
        return sum(count > 0 for count in self.n_tokens)

    @property
    def median(self) -> float:
        """The median over texts, in nats a token; NaN where none could be scored."""
        scored = [value for value in self.per_token if not np.isnan(value)]
        return float(np.median(scored)) if scored else float("nan")

    def to_frame(self) -> pd.DataFrame:
        """One row a text: text, surprisal in nats a token, n_tokens."""
        return pd.DataFrame(
            {"text": self.texts, "surprisal": self.per_token, "n_tokens": self.n_tokens}
        )


def surprisal(
    model: HookedModel,
    prompts: Sequence[str],
    texts: Sequence[str],
    openings: Sequence[str] | None = None,
    progress: bool = False,
) -> Surprisal:
    """Mean surprisal of each text after its prompt, under the unsteered model.

    With `openings`, only what follows each text's opening is averaged, given the opening: an
    answer that was made to begin in some way is judged by how it goes on. An empty text, or one
    that ends with its opening, has no tokens and counts as not scored. Where a text would merge
    with the end of its prompt, white space at its beginning is left out, and what still merges is
    scored by the text's own tokens: they were generated after the prompt's.
    """
    if not len(prompts) == len(texts) == len(openings or texts):
        raise ValueError("surprisal needs one prompt (and one opening) for each text")
    if not texts:
        raise ValueError("there is no text to score")
    said = [_apart(model, prompt, text) for prompt, text in zip(prompts, texts, strict=True)]
    scorable = [i for i, text in enumerate(said) if text]
    values, counts = [float("nan")] * len(texts), [0] * len(texts)
    if scorable:
        scored = log_prob(
            model,
            [prompts[i] for i in scorable],
            [said[i] for i in scorable],
            progress=progress,
            generated=True,
        )
        for k, i in enumerate(scorable):
            skipped = 0
            if openings is not None:
                opening = openings[i][len(texts[i]) - len(said[i]) :]
                skipped = _skipped(model, prompts[i], said[i], opening)
            rest = scored.token_log_probs[k][skipped:]
            counts[i] = len(rest)
            if len(rest):
                values[i] = float(-rest.mean())
    return Surprisal(tuple(texts), tuple(values), tuple(counts))


def _apart(model: HookedModel, prompt: str, text: str) -> str:
    """The text, without white space that merges with its prompt: generated, it did not."""
    if not text[:1].isspace():
        return text
    head = prompt_ids(model, prompt)
    merged = prompt_ids(model, prompt + text)[: len(head)] != head
    return text.lstrip() if merged else text


def _skipped(model: HookedModel, prompt: str, text: str, opening: str) -> int:
    """How many tokens of a text begin within its opening."""
    starts = [len(prompt), *completion_ends(model, prompt, text, generated=True)[:-1]]
    return int(np.searchsorted(starts, len(prompt) + len(opening.rstrip())))
