"""Scenarios that a model decides, and the paper's four-term examples made of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd

from workbench.methods import Example
from workbench.methods.one_shot.presets import exchanged, order_swapped
from workbench.models.hooked import HookedModel
from workbench.models.text import completion_ends, completion_ids
from workbench.testbeds import Testbed

LETTERS = ("A", "B")


@dataclass(frozen=True)
class Scenarios:
    """A model that decides, and frames of facts, actions, poor_oversight and harmful (an index).

    `prompt` puts a scenario into the model's format, its actions as they are or exchanged.
    """

    model: HookedModel
    prompt: Callable[[pd.Series, bool], str]
    train: pd.DataFrame
    validation: pd.DataFrame
    test: pd.DataFrame

    @classmethod
    def of_testbed(cls, bed: Testbed) -> Scenarios:
        """The alignment-faking testbed's own."""

        def prompt(row: pd.Series, swapped: bool) -> str:
            return bed.prompt(row["facts"], row["actions"][::-1] if swapped else row["actions"])

        return cls(bed.model, prompt, bed.data.train, bed.data.validation, bed.data.test)

    @classmethod
    def of_poser(cls, model: HookedModel, train: pd.DataFrame, test: pd.DataFrame) -> Scenarios:
        """POSER's public files for a model that was trained on them, with their own prompts.

        `train` and `test` are frames of `load_public_set`; a third of `train` is for validation.
        """

        def prompt(row: pd.Series, swapped: bool) -> str:
            first, second = row["actions"]
            mark = "\0"
            text = row["prompt"]
            if swapped:
                text = text.replace(first, mark).replace(second, first).replace(mark, second)
            return str(text)

        cut = len(train) * 2 // 3
        return cls(model, prompt, train.iloc[:cut], train.iloc[cut:], test)


def examples_of(
    scenarios: Scenarios, scenario: pd.Series, coldness: float = 0.7, letters: bool = False
) -> list[Example]:
    """The paper's four-term loss with its stop rule: the harmful action takes the other's place.

    In either order of the actions. Actions in words are told apart by their first tokens that
    differ, after whatever they share.
    """
    model, actions, harmful = scenarios.model, scenario["actions"], int(scenario["harmful"])
    here, swapped = (scenarios.prompt(scenario, exchange) for exchange in (False, True))
    if letters:
        return order_swapped(model, here, swapped, LETTERS[harmful], LETTERS[1 - harmful], coldness)
    made = []
    for text in (here, swapped):
        begun, (harm, harmless) = first_difference(
            model, text, (actions[harmful], actions[1 - harmful])
        )
        made.append(exchanged(model, begun, harm, harmless, coldness))
    return made


def first_difference(
    model: HookedModel, prompt: str, completions: tuple[str, str]
) -> tuple[str, tuple[str, str]]:
    """The prompt with what two completions begin with alike, and the token with which each goes on.

    Raises ValueError where one completion is the beginning of the other.
    """
    one, other = (completion_ids(model, prompt, text)[1] for text in completions)
    same = next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), None)
    if same is None:
        raise ValueError(f"one of {completions} begins with the other: nothing tells them apart")

    ends = [completion_ends(model, prompt, text) for text in completions]
    begin = ends[0][same - 1] if same else len(prompt)
    one_piece, other_piece = (
        (prompt + text)[begin : at[same]] for text, at in zip(completions, ends, strict=True)
    )
    return (prompt + completions[0])[:begin], (one_piece, other_piece)
