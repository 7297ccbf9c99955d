"""How often a vector flips decisions between two actions, either way (the paper's Poser rates).

A decision is the action with the higher log-prob a token. Steered, it is a flip only if the greedy
text states the same action; a text that states neither action (or both) is "neither".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from workbench.evaluation.choices import PreparedChoices, choose, stated
from workbench.evaluation.proportion import Proportion, proportion
from workbench.models.hooked import HookedModel
from workbench.steering.generation import generate
from workbench.steering.interventions import Steering


@dataclass(frozen=True)
class Flips:
    """Decisions of each prompt, unsteered and steered each way: indices of the options.

    `stated[way][i]` is what the greedy text states, None where it is neither option, or both.
    """

    groups: tuple[str, ...]
    unsteered: tuple[int, ...]
    steered: dict[str, tuple[int, ...]]
    stated: dict[str, tuple[int | None, ...]]

    def rate(self, way: str, group: str) -> Proportion:
        """The share of a group's decisions that one way of steering flips."""
        rows = self._rows(way, group)
        return proportion(sum(before != now == said for before, now, said in rows), len(rows))

    def neither(self, way: str, group: str) -> Proportion:
        """The share of a group's answers that state neither action."""
        rows = self._rows(way, group)
        return proportion(sum(said is None for _, _, said in rows), len(rows))

    def to_frame(self) -> pd.DataFrame:
        """One row a way and group: way, group, n, flipped, low, high, neither."""
        rows = []
        for way in self.steered:
            for group in dict.fromkeys(self.groups):
                found = self.rate(way, group)
                rows.append(
                    {
                        "way": way,
                        "group": group,
                        "n": found.n,
                        "flipped": found.rate,
                        "low": found.low,
                        "high": found.high,
                        "neither": self.neither(way, group).rate,
                    }
                )
        return pd.DataFrame(rows)

    def decisions(self) -> pd.DataFrame:
        """One row a way and prompt: way, group, prompt (its number), stated (or None), flipped."""
        return pd.DataFrame(
            {
                "way": way,
                "group": group,
                "prompt": i,
                "stated": said,
                "flipped": before != now == said,
            }
            for way, steered in self.steered.items()
            for i, (group, before, now, said) in enumerate(
                zip(self.groups, self.unsteered, steered, self.stated[way], strict=True)
            )
        )

    def _rows(self, way: str, group: str) -> list[tuple[int, int, int | None]]:
        if way not in self.steered or group not in self.groups:
            raise KeyError(f"there is no way {way!r} with a group {group!r} among these flips")
        decided = zip(self.unsteered, self.steered[way], self.stated[way], strict=True)
        return [row for each, row in zip(self.groups, decided, strict=True) if each == group]


def flips(
    model: HookedModel,
    prompts: Sequence[str],
    options: Sequence[Sequence[str]],
    groups: Sequence[str],
    ways: Mapping[str, Steering],
    *,
    layer: int | None = None,
    max_new_tokens: int = 32,
    progress: bool = False,
) -> Flips:
    """Decisions between each prompt's two options, unsteered and under each way of steering.

    `groups` names each prompt's group (good or poor oversight); `ways` is for example
    `{"+v": Add(v), "-v": Add(v, -1)}`. Options are the words of two actions, or letters.
    With `layer`, what stands below it is run once for all ways, which must act from there on; and
    where greedy decoding would write an option and end, nothing is generated.
    Raises ValueError where prompts, options and groups do not pair up, or options are not two.
    """
    if not len(prompts) == len(options) == len(groups):
        raise ValueError(
            f"{len(prompts)} prompts, {len(options)} pairs of options and {len(groups)} groups: "
            "one of each is needed for every prompt"
        )
    if any(len(pair) != 2 for pair in options):
        raise ValueError("a decision is between two options: give two for each prompt")
    prepared = None if layer is None else PreparedChoices.of(model, prompts, options, layer)
    steered: dict[str, tuple[int, ...]] = {}
    texts: dict[str, list[str]] = {}
    if prepared is None:
        unsteered = choose(model, prompts, options, progress=progress).chosen
    else:
        unsteered = prepared.decide(progress=progress)[0].chosen
    for way, steering in ways.items():
        if prepared is None:
            steered[way] = choose(model, prompts, options, steering, progress=progress).chosen
            texts[way] = generate(model, prompts, steering, max_new_tokens, progress=progress)
        else:
            choices, written = prepared.decide(steering, progress=progress)
            steered[way] = choices.chosen
            texts[way] = prepared.texts(written, steering, max_new_tokens, progress=progress)
    said = {
        way: tuple(stated(text, pair) for text, pair in zip(own, options, strict=True))
        for way, own in texts.items()
    }
    return Flips(tuple(groups), unsteered, steered, said)
