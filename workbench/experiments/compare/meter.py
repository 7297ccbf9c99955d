"""What a steered model is measured by, the same for every method."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.stats import bootstrap
from torch import Tensor

from workbench.evaluation import Reference, accuracy, cost, distinct_share, surprisal
from workbench.experiments.compare.task import Item, Task
from workbench.experiments.emergent.spread import read_questions
from workbench.models import chat
from workbench.models.hooked import HookedModel
from workbench.steering import generate, log_prob
from workbench.steering.interventions import Steering
from workbench.steering.prepared import Prepared, lowest_layer


def margins(
    model: HookedModel, items: Sequence[Item], steering: Steering = (), *, per_token: bool = True
) -> list[float]:
    """By item: log P(shows) - log P(lacks), in nats a token or in all."""
    scored = log_prob(model, *asked_of(items), steering)
    return margins_of(scored.mean if per_token else scored.total)


def asked_of(items: Sequence[Item]) -> tuple[list[str], list[str]]:
    """Each item's prompt with either answer."""
    return (
        [item.prompt for item in items for _ in range(2)],
        [text for item in items for text in (item.shows, item.lacks)],
    )


def margins_of(values: Tensor) -> list[float]:
    """By item, of one value for each of what `asked_of` gives."""
    shows, lacks = values.view(-1, 2).unbind(-1)
    return (shows - lacks).tolist()


@dataclass(frozen=True, eq=False)
class Meter:
    """The texts that steering is measured on, with what the unsteered model does to them.

    `chosen_on` and `items` are validation and test items, `spent` and `reference` harmless text of
    the two parts.
    """

    model: HookedModel
    chosen_on: tuple[Item, ...]
    items: tuple[Item, ...]
    base: tuple[float, ...]
    spent: Reference
    reference: Reference
    harmless: tuple[str, ...]
    answer_tokens: int
    questions: int
    _prepared: dict[tuple[int, int, int], Prepared] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        task: Task,
        *,
        chosen_on: int,
        measured_on: int,
        harmless: int,
        answer_tokens: int,
        questions: int,
    ) -> Meter:
        """Read the unsteered model's own harmless answers and its margins."""
        prompts = {part: task.harmless[part][:harmless] for part in ("validation", "test")}
        references = {
            part: _own_answers(task.model, some, answer_tokens) for part, some in prompts.items()
        }
        items = task.test[:measured_on]
        return cls(
            task.model,
            task.validation[:chosen_on],
            items,
            tuple(margins(task.model, items)),
            references["validation"],
            references["test"],
            prompts["test"],
            answer_tokens,
            questions,
        )

    def margins(
        self, model: HookedModel, items: tuple[Item, ...], steering: Steering
    ) -> list[float]:
        """`margins`; of items that were asked before, what lies below the steering is known."""
        layer = lowest_layer(model, steering)
        if layer is None:
            return margins(model, items, steering)
        key = (id(model), id(items), layer)
        if key not in self._prepared:
            # The model is kept with it: an id is another model's as soon as one is gone.
            self._prepared[key] = Prepared.of(model, *asked_of(items), layer)
        return margins_of(self._prepared[key].score(steering).log_probs.mean)

    def tried(self, model: HookedModel, steering: Steering) -> dict[str, float]:
        """On validation: the mean margin, and the cost."""
        return {
            "margin": float(np.mean(self.margins(model, self.chosen_on, steering))),
            "kl": cost(model, self.spent, steering).mean_kl,
        }

    def unsteered(self, model: HookedModel) -> tuple[float, ...]:
        """By test item, the margin of a model: that of another one is not ours."""
        return self.base if model is self.model else tuple(margins(model, self.items))

    def changes(self, model: HookedModel, steering: Steering, base: Sequence[float]) -> list[float]:
        """By test item, how much the margin grows over `base`."""
        now = self.margins(model, self.items, steering)
        return [after - before for after, before in zip(now, base, strict=True)]

    def measured(
        self, model: HookedModel, steering: Steering, base: Sequence[float]
    ) -> dict[str, Any]:
        """On test: behaviour against the model's own `base`, and what it costs."""
        changes = self.changes(model, steering, base)
        after = [before + change for before, change in zip(base, changes, strict=True)]
        low, high = mean_interval(changes)
        answers = generate(
            model, self.harmless, steering, max_new_tokens=self.answer_tokens, progress=False
        )
        asked_and_said = zip(self.harmless, answers, strict=True)
        said = [(prompt, text) for prompt, text in asked_and_said if text.strip()]
        likely = surprisal(self.model, [p for p, _ in said], [t for _, t in said]) if said else None
        asked = read_questions()[: self.questions]
        right = accuracy(
            model,
            [chat(self.model, each.text) for each in asked],
            [(each.right, each.wrong) for each in asked],
            [0] * len(asked),
            steering,
        ).proportion
        return {
            "n": len(changes),
            "margin": float(np.mean(after)),
            "change": float(np.mean(changes)),
            "low": low,
            "high": high,
            "shows": float(np.mean([margin > 0 for margin in after])),
            "kl": cost(model, self.reference, steering).mean_kl,
            "surprisal": None if likely is None else likely.median,
            "distinct": float(np.mean([distinct_share(text) for text in answers])),
            "accuracy": right.rate,
        }


def _own_answers(model: HookedModel, prompts: Sequence[str], tokens: int) -> Reference:
    answers = generate(model, prompts, max_new_tokens=tokens, progress=False)
    said = [(prompt, text) for prompt, text in zip(prompts, answers, strict=True) if text]
    if not said:
        raise ValueError(f"the model answers none of {len(prompts)} harmless prompts")
    return Reference.of(model, *map(list, zip(*said, strict=True)))


def mean_interval(values: Sequence[float]) -> tuple[float, float]:
    """The 95% percentile bootstrap interval of a mean; both ends the value where all are alike."""
    if len(set(values)) == 1:
        return values[0], values[0]
    found = bootstrap(
        (np.asarray(values),), np.mean, method="percentile", random_state=np.random.default_rng(0)
    ).confidence_interval
    return float(found.low), float(found.high)
