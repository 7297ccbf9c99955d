"""Scenarios asked under vectors, and the vectors from some of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from workbench.evaluation import flips
from workbench.experiments.poser.scenarios import LETTERS, Scenarios, examples_of
from workbench.experiments.poser.settings import PoserSettings
from workbench.methods import Example, OneShotJob, optimize_batch
from workbench.methods.one_shot import finished
from workbench.steering import Add, SteeringVector


@dataclass(frozen=True)
class Asking:
    """Asks scenarios under vectors, added and subtracted."""

    scenarios: Scenarios
    settings: PoserSettings
    progress: bool

    def decisions(
        self, vectors: Iterable[SteeringVector], frame: pd.DataFrame, swapped: bool = False
    ) -> pd.DataFrame:
        """Decisions under each vector, the actions as they are or exchanged (`swapped`).

        Columns: those of `Flips`, vector (its label), swapped, harmful_first, and right: whether
        the unsteered decision is as the testbed was trained.
        """
        prompts, options, groups, longest = self._asked(frame, swapped)
        first = (frame["harmful"].to_numpy() == 0) != swapped
        every = list(vectors)
        frames = []
        for layer in dict.fromkeys(vector.layers[0] for vector in every):
            ways = {
                f"{way} {vector.label}": Add(vector, sign)
                for vector in every
                if vector.layers[0] == layer
                for way, sign in (("+v", 1.0), ("-v", -1.0))
            }
            found = flips(
                self.scenarios.model,
                prompts,
                options,
                groups,
                ways,
                layer=layer,
                max_new_tokens=longest,
                progress=self.progress,
            )
            harmful = (np.array(found.unsteered) == 0) == first
            right = harmful == frame["poor_oversight"].to_numpy()
            rows = found.decisions()
            parts, number = rows["way"].str.partition(" "), rows["prompt"].to_numpy()
            frames.append(
                rows.assign(
                    way=parts[0],
                    vector=parts[2],
                    swapped=swapped,
                    harmful_first=first[number],
                    right=right[number],
                )
            )
        return pd.concat(frames, ignore_index=True)

    def both_orders(self, vectors: Iterable[SteeringVector], frame: pd.DataFrame) -> pd.DataFrame:
        """Decisions with the actions as they are and exchanged."""
        every = list(vectors)
        return pd.concat(
            [self.decisions(every, frame, swapped) for swapped in (False, True)], ignore_index=True
        )

    def _asked(
        self, frame: pd.DataFrame, swapped: bool
    ) -> tuple[list[str], list[tuple[str, ...]], list[str], int]:
        """Prompts, their options, their groups, and how long an answer can be."""
        tokenizer = self.scenarios.model.tokenizer
        prompts = [self.scenarios.prompt(row, swapped) for _, row in frame.iterrows()]
        pairs = [tuple(each[::-1] if swapped else each) for each in frame["actions"]]
        options = [LETTERS if self.settings.letters else pair for pair in pairs]
        groups = ["poor" if poor else "good" for poor in frame["poor_oversight"]]
        words = tokenizer([text for pair in options for text in pair])["input_ids"]
        return prompts, options, groups, max(map(len, words)) + 4

    def items(self, count: int) -> list[list[Example]]:
        """`count` training items: of each scenario with good oversight its two examples."""
        settings, train = self.settings, self.scenarios.train
        drawn = train[~train["poor_oversight"]].sample(count, random_state=settings.seed)
        return [
            examples_of(self.scenarios, row, settings.coldness, settings.letters)
            for _, row in drawn.iterrows()
        ]

    def job(self, layer: int, norm: int | float) -> dict[str, Any]:
        """How a vector of that layer and norm is trained: settings of `OneShotJob`."""
        settings = self.settings
        return {
            "layer": layer,
            "steps": settings.steps,
            "learning_rate": settings.learning_rate,
            "coldness": settings.coldness,
            "start_norm": norm,
            "max_norm": norm,
            "target_of": "completion",
        }


def place_name(layer: int, norm: int | float) -> str:
    """A layer and norm in words, as labels end."""
    return f"layer {layer}, norm {norm:g}"


def vectors_at(
    asking: Asking, places: Sequence[tuple[int, float]], count: int
) -> list[SteeringVector]:
    """`count` one-shot vectors at each layer and norm, from scenarios with good oversight."""
    examples = asking.items(count)
    jobs = [
        OneShotJob(
            pair,
            **asking.job(layer, norm),
            seed=asking.settings.seed + number,
            label=f"scenario {number + 1}, {place_name(layer, norm)}",
        )
        for layer, norm in places
        for number, pair in enumerate(examples)
    ]
    runs = optimize_batch(asking.scenarios.model, jobs, progress=asking.progress)
    return finished(runs, jobs)
