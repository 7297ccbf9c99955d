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


def margins(model: HookedModel, items: Sequence[Item], steering: Steering = ()) -> list[float]:
    """By item: log P(shows) - log P(lacks), in nats a token."""
    return margins_of(log_prob(model, *asked_of(items), steering).mean)


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


@dataclass(frozen=True)
class Behaviour:
    """By item, in nats a token: log P(shows) less log P(lacks), and log P(shows) alone.

    The second says whether the answer became likelier, or only the other one less likely.
    """

    margins: tuple[float, ...]
    shown: tuple[float, ...]

    @classmethod
    def of(cls, values: Tensor) -> Behaviour:
        """Of one value for each of what `asked_of` gives."""
        return cls(tuple(margins_of(values)), tuple(values.view(-1, 2)[:, 0].tolist()))


ANSWERED = 16  # test prompts of the task that are answered, to see whether answers are coherent


@dataclass(frozen=True, eq=False)
class Meter:
    """The texts that steering is measured on, with what the unsteered model does to them.

    `reads` is the model under which answers are more or less surprising: one that shows the
    behaviour, where the task has it. `chosen_on` and `items` are validation and test items, `spent`
    and `reference` harmless text of the two parts.
    """

    model: HookedModel
    reads: HookedModel
    chosen_on: tuple[Item, ...]
    items: tuple[Item, ...]
    base: Behaviour
    spent: Reference
    reference: Reference
    harmless: tuple[str, ...]
    answer_tokens: int
    questions: int
    _before: dict[int, float] = field(default_factory=dict)
    _prepared: dict[tuple[int, ...], Prepared] = field(default_factory=dict)
    _spent: dict[tuple[int, ...], Reference] = field(default_factory=dict)

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
            task.aligned or task.model,
            task.validation[:chosen_on],
            items,
            Behaviour.of(log_prob(task.model, *asked_of(items)).mean),
            references["validation"],
            references["test"],
            prompts["test"],
            answer_tokens,
            questions,
        )

    def behaviour(
        self, model: HookedModel, items: tuple[Item, ...], steering: Steering
    ) -> Behaviour:
        """Of items that were asked before, what lies below the steering is known."""
        layer = lowest_layer(model, steering)
        if layer is None:
            return Behaviour.of(log_prob(model, *asked_of(items), steering).mean)
        key = (id(model), id(items), layer)
        if key not in self._prepared:
            # The model is kept with it: an id is another model's as soon as one is gone.
            self._prepared[key] = Prepared.of(model, *asked_of(items), layer)
        return Behaviour.of(self._prepared[key].score(steering).log_probs.mean)

    def forget(self, model: HookedModel) -> None:
        """Let go of a model that a method trained: nothing is asked of it again."""
        self._before.pop(id(model), None)
        kept: dict[tuple[int, ...], Any]
        for kept in (self._prepared, self._spent):
            for key in [key for key in kept if key[0] == id(model)]:
                del kept[key]

    def tried(self, model: HookedModel, steering: Steering) -> dict[str, float]:
        """On validation: the mean margin, the mean of log P(shows), and the cost."""
        found = self.behaviour(model, self.chosen_on, steering)
        return {
            "margin": float(np.mean(found.margins)),
            "shown": float(np.mean(found.shown)),
            "kl": cost(model, self._spent_at(model, steering), steering).mean_kl,
        }

    def _spent_at(self, model: HookedModel, steering: Steering) -> Reference:
        """`spent`, with what lies below the steering known."""
        layer = lowest_layer(model, steering)
        if layer is None:
            return self.spent
        key = (id(model), layer)
        if key not in self._spent:
            self._spent[key] = self.spent.at(model, layer)
        return self._spent[key]

    def shown_before(self, model: HookedModel) -> float:
        """The mean of log P(shows) on validation, unsteered."""
        key = id(model)
        if key not in self._before:
            found = self.behaviour(model, self.chosen_on, ())
            self._before[key] = float(np.mean(found.shown))
        return self._before[key]

    def unsteered(self, model: HookedModel) -> Behaviour:
        """On test items: that of another model is not ours."""
        return self.base if model is self.model else self.behaviour(model, self.items, ())

    def changes(self, model: HookedModel, steering: Steering, base: Behaviour) -> list[float]:
        """By test item, how much the margin grows over `base`."""
        return _less(self.behaviour(model, self.items, steering).margins, base.margins)

    def measured(self, model: HookedModel, steering: Steering, base: Behaviour) -> dict[str, Any]:
        """On test: behaviour against the model's own `base`, and what it costs."""
        after = self.behaviour(model, self.items, steering)
        changes = _less(after.margins, base.margins)
        low, high = mean_interval(changes)
        said = self._answers(model, self.harmless, steering)
        task = self._answers(model, [item.prompt for item in self.items[:ANSWERED]], steering)
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
            "margin": float(np.mean(after.margins)),
            "change": float(np.mean(changes)),
            "low": low,
            "high": high,
            "gained": float(np.mean(_less(after.shown, base.shown))),
            "shows": float(np.mean([margin > 0 for margin in after.margins])),
            "kl": cost(model, self.reference, steering).mean_kl,
            "surprisal": said.surprisal,
            "distinct": said.distinct,
            "task_surprisal": task.surprisal,
            "task_distinct": task.distinct,
            "accuracy": right.rate,
        }

    def _answers(self, model: HookedModel, prompts: Sequence[str], steering: Steering) -> _Answers:
        """How coherent the steered answers are, under the model that the task knows to answer."""
        answers = generate(
            model, prompts, steering, max_new_tokens=self.answer_tokens, progress=False
        )
        asked_and_said = zip(prompts, answers, strict=True)
        said = [(prompt, text) for prompt, text in asked_and_said if text.strip()]
        likely = surprisal(self.reads, [p for p, _ in said], [t for _, t in said]) if said else None
        return _Answers(
            None if likely is None else likely.median,
            float(np.mean([distinct_share(text) for text in answers])),
        )


@dataclass(frozen=True)
class _Answers:
    """Median surprisal, nats a token (None where nothing is said), and mean distinct share."""

    surprisal: float | None
    distinct: float


def _less(after: Sequence[float], before: Sequence[float]) -> list[float]:
    return [a - b for a, b in zip(after, before, strict=True)]


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
