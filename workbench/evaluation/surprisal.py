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
from workbench.models.text import completion_ends
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
    that ends with its opening, has no tokens and counts as not scored.
    """
    if not len(prompts) == len(texts) == len(openings or texts):
        raise ValueError("surprisal needs one prompt (and one opening) for each text")
    if not texts:
        raise ValueError("there is no text to score")
    scorable = [i for i, text in enumerate(texts) if text]
    values, counts = [float("nan")] * len(texts), [0] * len(texts)
    if scorable:
        scored = log_prob(
            model, [prompts[i] for i in scorable], [texts[i] for i in scorable], progress=progress
        )
        for k, i in enumerate(scorable):
            skipped = 0 if openings is None else _skipped(model, prompts[i], texts[i], openings[i])
            rest = scored.token_log_probs[k][skipped:]
            counts[i] = len(rest)
            if len(rest):
                values[i] = float(-rest.mean())
    return Surprisal(tuple(texts), tuple(values), tuple(counts))


def _skipped(model: HookedModel, prompt: str, text: str, opening: str) -> int:
    """How many tokens of a text begin within its opening."""
    starts = [len(prompt), *completion_ends(model, prompt, text)[:-1]]
    return int(np.searchsorted(starts, len(prompt) + len(opening.rstrip())))
