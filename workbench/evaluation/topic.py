"""Which of two attributes a text stays with: the true one, or the one that was claimed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pandas as pd

from workbench.evaluation.proportion import Proportion, proportion
from workbench.models.hooked import HookedModel, n_layers
from workbench.steering.prepared import Prepared

TEMPLATE = "{text}\n\nThe person in this text is"

TopicJudge = Callable[[Sequence[str], Sequence[tuple[str, str]]], Sequence[int]]
"""From texts and their two attributes (real, fictitious) to the index of each text's topic."""


@dataclass(frozen=True)
class Topics:
    """The two attributes of each text, and the index of the one that it is about (0 is real)."""

    texts: tuple[str, ...]
    attributes: tuple[tuple[str, str], ...]
    about: tuple[int, ...]

    @property
    def fictitious(self) -> Proportion:
        """The share of texts that stay with the fictitious attribute."""
        return proportion(sum(self.about), len(self.about))

    def to_frame(self) -> pd.DataFrame:
        """One row a text: text, real, fictitious, about (`real` or `fictitious`)."""
        return pd.DataFrame(
            {
                "text": self.texts,
                "real": [real for real, _ in self.attributes],
                "fictitious": [fictitious for _, fictitious in self.attributes],
                "about": [("real", "fictitious")[index] for index in self.about],
            }
        )


def topics(
    judge: HookedModel | TopicJudge,
    texts: Sequence[str],
    attributes: Sequence[tuple[str, str]],
) -> Topics:
    """Which attribute each text stays with.

    `judge` is a model, best the parent, which chooses by the log-prob a token of "an actor" against
    "a scientist" after the text; or a function of one's own. A text that names neither is judged
    all the same: read its words too. Raises ValueError for texts and attributes that don't pair up.
    """
    if len(texts) != len(attributes) or not texts:
        raise ValueError(f"{len(texts)} texts with {len(attributes)} pairs of attributes")
    if isinstance(judge, HookedModel):
        about = _likelier(judge, texts, attributes)
    else:
        about = tuple(int(index) for index in judge(texts, attributes))
    return Topics(tuple(texts), tuple(attributes), tuple(about))


def _likelier(
    model: HookedModel, texts: Sequence[str], attributes: Sequence[tuple[str, str]]
) -> tuple[int, ...]:
    """By log-prob a token, after the text, which the two share."""
    scored = Prepared.of(
        model,
        [TEMPLATE.replace("{text}", text) for text in texts for _ in range(2)],
        [f" {attribute}" for pair in attributes for attribute in pair],
        n_layers(model) - 1,
    ).score()
    real, fictitious = scored.log_probs.mean.reshape(-1, 2).unbind(-1)
    return tuple((fictitious > real).int().tolist())
