"""Contrastive activation addition: the mean difference at the letter of an answer.

Rimsky et al. 2024 (arXiv 2312.06681). Questions with two lettered answers, one of which shows a
behaviour. Both texts of a pair end at the answer's letter, where the stream is read:

    v = mean over pairs of ( h(question, letter that matches) - h(question, the other letter) )

It is added at every position after the prompt. In the paper vectors of different behaviours are
scaled to one norm (`vector.normalized`).

The letters' own difference is far larger than that of what they stand for (50 times, on the
embedded model), and leaves the mean only where both letters match equally often: `balanced_pairs`.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from workbench.methods.mean_difference import mean_difference
from workbench.models.hooked import HookedModel
from workbench.steering.activations import DEFAULT_BATCH
from workbench.steering.positions import Positions
from workbench.steering.vector import SteeringVector
from workbench.steering.vector_set import VectorSet

# The prompt's last token predicts the first one after it.
AFTER_PROMPT = Positions.last() | Positions.completion()
_AT_THE_LETTER = Positions.span(-1, None)


@dataclass(frozen=True)
class LetteredPair:
    """A prompt that ends in a question, and its answers up to the letter: "(A" and "(B"."""

    prompt: str
    matching: str
    not_matching: str


def caa(
    model: HookedModel,
    pairs: Sequence[LetteredPair],
    layers: Sequence[int] | None = None,
    *,
    batch_size: int = DEFAULT_BATCH,
    label: str | None = None,
    progress: bool = False,
) -> VectorSet:
    """One vector a layer, to be added at `AFTER_PROMPT`.

    Warns where some letter matches more often than it does not. Raises ValueError without pairs,
    for a pair whose answers are the same, and for pairs that are there twice.
    """
    _check(pairs)
    _warn_of_imbalance(pairs)
    prompts = [each.prompt for each in pairs]
    made = mean_difference(
        model,
        prompts,
        prompts,
        positive_completions=[each.matching for each in pairs],
        negative_completions=[each.not_matching for each in pairs],
        layers=layers,
        positions=_AT_THE_LETTER,
        batch_size=batch_size,
        progress=progress,
    )
    return VectorSet(
        SteeringVector(
            vector.values,
            vector.layer,
            replace(vector.provenance, method="caa", positions=str(AFTER_PROMPT)),
            f"{label or 'CAA'}, layer {vector.layer}",
        )
        for vector in made
    )


def lettered_pairs(
    prompts: Sequence[str], matching: Sequence[str], not_matching: Sequence[str]
) -> list[LetteredPair]:
    """Pairs from answers as the public sets have them, " (A)": up to the letter."""
    return [
        LetteredPair(prompt, *(answer.strip().rstrip(")") for answer in answers))
        for prompt, *answers in zip(prompts, matching, not_matching, strict=True)
    ]


def balanced_pairs(pairs: Sequence[LetteredPair]) -> list[LetteredPair]:
    """As many pairs that match one letter as that match the other, by turns; the rest is left out.

    Raises ValueError where all match the same.
    """
    by_letter: dict[str, list[LetteredPair]] = {}
    for each in pairs:
        by_letter.setdefault(each.matching, []).append(each)
    if len(by_letter) < 2:
        raise ValueError(
            f"all {len(pairs)} pairs match {', '.join(map(repr, by_letter))}: their mean would be "
            "the difference of the letters; ask some with the choices exchanged"
        )
    return [each for several in zip(*by_letter.values(), strict=False) for each in several]


def _warn_of_imbalance(pairs: Sequence[LetteredPair]) -> None:
    found = Counter(each.matching for each in pairs)
    found.subtract(each.not_matching for each in pairs)
    letter, most = max(found.items(), key=lambda item: item[1])
    if most:
        warnings.warn(
            f"{letter!r} matches {most} times more often than it does not, in {len(pairs)} pairs: "
            "the vector holds the difference of the letters; `balanced_pairs(pairs)` takes as many "
            "of each",
            stacklevel=3,
        )


def _check(pairs: Sequence[LetteredPair]) -> None:
    if not pairs:
        raise ValueError("there are no pairs of answers to read")
    for each in pairs:
        if each.matching == each.not_matching:
            raise ValueError(f"both answers to {each.prompt[-40:]!r} are {each.matching!r}")
    if len(set(pairs)) < len(pairs):
        repeated = next(each for each in pairs if list(pairs).count(each) > 1)
        raise ValueError(f"the pair {repeated} is there more than once: each counts as one sample")
