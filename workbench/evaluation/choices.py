"""Which of several answers a model chooses, by their log-probs and by what it really says."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from workbench.models.hooked import HookedModel
from workbench.models.identity import facts_of
from workbench.steering.generation import generate
from workbench.steering.interventions import Steering
from workbench.steering.prepared import Prepared
from workbench.steering.scoring import log_prob


@dataclass(frozen=True)
class Choices:
    """The options of each prompt, what each scored, and the index of the best.

    `scores` are log-probs in nats: the mean over an option's tokens, or their sum.
    """

    prompts: tuple[str, ...]
    options: tuple[tuple[str, ...], ...]
    scores: tuple[tuple[float, ...], ...]

    @property
    def chosen(self) -> tuple[int, ...]:
        """For each prompt the index of its most likely option; of equal ones the first."""
        return tuple(int(np.argmax(row)) for row in self.scores)

    def to_frame(self) -> pd.DataFrame:
        """One row an option: prompt (its number), option, text, score, chosen."""
        rows = [
            {"prompt": i, "option": k, "text": text, "score": score, "chosen": k == self.chosen[i]}
            for i, (texts, scores) in enumerate(zip(self.options, self.scores, strict=True))
            for k, (text, score) in enumerate(zip(texts, scores, strict=True))
        ]
        return pd.DataFrame(rows)


def choose(
    model: HookedModel,
    prompts: Sequence[str],
    options: Sequence[Sequence[str]],
    steering: Steering = (),
    *,
    per_token: bool = True,
    progress: bool = False,
) -> Choices:
    """Score each prompt's options under `steering`, by default a token, so that length is no merit.

    Raises ValueError where prompts and options do not pair up, or a prompt has fewer than two.
    """
    _check_options(prompts, options)
    scored = log_prob(
        model,
        [prompt for prompt, texts in zip(prompts, options, strict=True) for _ in texts],
        [text for texts in options for text in texts],
        steering,
        progress=progress,
    )
    reduced = (row.mean() if per_token else row.sum() for row in scored.token_log_probs)
    values = map(float, reduced)
    return Choices(
        tuple(prompts),
        tuple(tuple(texts) for texts in options),
        tuple(tuple(next(values) for _ in texts) for texts in options),
    )


@dataclass(frozen=True, eq=False)
class PreparedChoices:
    """Prompts and options, run once up to a layer, to be decided under many interventions.

    Made by `PreparedChoices.of`; decides as `choose` does, much faster (steering/prepared.py).
    """

    prompts: tuple[str, ...]
    options: tuple[tuple[str, ...], ...]
    prepared: Prepared

    @classmethod
    def of(
        cls,
        model: HookedModel,
        prompts: Sequence[str],
        options: Sequence[Sequence[str]],
        layer: int,
    ) -> PreparedChoices:
        """Run the model up to `layer`. Raises as `choose` does, and for a model without an end."""
        _check_options(prompts, options)
        stops = facts_of(model).stop_ids
        if not stops:
            raise ValueError("this model has no token that ends an answer: use `choose`")
        end = model.tokenizer.decode([stops[0]])
        prepared = Prepared.of(
            model,
            [prompt for prompt, texts in zip(prompts, options, strict=True) for _ in texts],
            [text + end for texts in options for text in texts],
            layer,
        )
        return cls(tuple(prompts), tuple(tuple(texts) for texts in options), prepared)

    def decide(
        self, steering: Steering = (), *, progress: bool = False
    ) -> tuple[Choices, tuple[int | None, ...]]:
        """What is chosen, by log-prob a token; and the option that greedy decoding would write.

        The second is None where it would write none of them alone, to the end of the answer.
        """
        found = self.prepared.score(steering, progress=progress)
        means = (float(row[:-1].mean()) for row in found.log_probs.token_log_probs)
        flags = iter(found.greedy)
        written = [[next(flags) for _ in texts] for texts in self.options]
        return (
            Choices(
                self.prompts,
                self.options,
                tuple(tuple(next(means) for _ in texts) for texts in self.options),
            ),
            tuple(hits.index(True) if any(hits) else None for hits in written),
        )

    def texts(
        self,
        written: Sequence[int | None],
        steering: Steering = (),
        max_new_tokens: int = 32,
        *,
        progress: bool = False,
    ) -> list[str]:
        """The greedy texts: options where `decide` knows them to be written, else generated."""
        found = ["" if k is None else o[k] for k, o in zip(written, self.options, strict=True)]
        unknown = [i for i, k in enumerate(written) if k is None]
        if unknown:
            asked = [self.prompts[i] for i in unknown]
            made = generate(self.prepared.model, asked, steering, max_new_tokens, progress=progress)
            for i, text in zip(unknown, made, strict=True):
                found[i] = text
        return found


def stated(text: str, options: Sequence[str]) -> int | None:
    """The index of the one option whose words a text says; None where it says none, or several.

    Only whole words count. Spaces, an option's last full stop and case do not, but for options of
    one letter, where "A" is no "a". An option that is part of another one said is not counted
    beside it.
    """
    letters = all(len(_plain(option)) == 1 for option in options)

    def words_of(text: str) -> str:
        return _plain(text) if letters else _plain(text).casefold()

    said = words_of(text)
    found = [(i, words_of(option)) for i, option in enumerate(options)]
    found = [(i, words) for i, words in found if words and _has_words(said, words)]
    found = [(i, a) for i, a in found if not any(a != b and a in b for _, b in found)]
    return found[0][0] if len(found) == 1 else None


def _check_options(prompts: Sequence[str], options: Sequence[Sequence[str]]) -> None:
    if len(prompts) != len(options):
        raise ValueError(f"{len(prompts)} prompts, but options for {len(options)}")
    few = [i for i, texts in enumerate(options) if isinstance(texts, str) or len(texts) < 2]
    if few:
        raise ValueError(f"prompt {few[0]} has no two options to choose from: {options[few[0]]!r}")


def _has_words(text: str, words: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(words)}(?!\w)", text) is not None


def _plain(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip().rstrip(".")
