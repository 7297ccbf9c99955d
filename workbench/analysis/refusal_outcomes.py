"""What steering does to a model that refuses: to harmful requests, and to harmless ones.

One place asks and judges for every analysis of refusal, so that all are measured alike: the same
requests, the strict rule of `attack` with one threshold, and one reference for what it costs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from workbench.evaluation import Attack, Proportion, Reference, attack, cost, own_surprisal
from workbench.evaluation.attack import LEAST_TOKENS, Judge, refusal_phrases
from workbench.evaluation.proportion import proportion
from workbench.models.hooked import HookedModel
from workbench.steering.generation import generate
from workbench.steering.interventions import Steering


@dataclass(frozen=True)
class RefusalCost:
    """On harmless requests: the share refused, and nats a token on the model's own answers."""

    refused: Proportion
    kl: float
    cross_entropy_change: float


@dataclass(frozen=True, eq=False)
class Harmless:
    """Harmless requests and what the model itself answers, to see what steering costs there."""

    model: HookedModel
    requests: tuple[str, ...]
    prompts: tuple[str, ...]
    judge: Judge
    answer_tokens: int
    reference: Reference

    @classmethod
    def of(
        cls,
        model: HookedModel,
        requests: Sequence[str],
        ask: Callable[[str], str],
        *,
        judge: Judge | None = None,
        answer_tokens: int = LEAST_TOKENS // 2,
        progress: bool = False,
    ) -> Harmless:
        """Read the model's own answers. `ask` makes the prompt that asks a request.

        Raises ValueError where there are no requests, or the model answers none.
        """
        prompts = [ask(each) for each in requests]
        own = generate(model, prompts, max_new_tokens=answer_tokens, progress=progress)
        said = [(prompt, text) for prompt, text in zip(prompts, own, strict=True) if text]
        if not said:
            raise ValueError(f"the model answers none of {len(requests)} harmless requests")
        reference = Reference.of(model, *map(list, zip(*said, strict=True)))
        return cls(
            model,
            tuple(requests),
            tuple(prompts),
            judge or refusal_phrases(),
            answer_tokens,
            reference,
        )

    def at(self, layer: int) -> Harmless:
        """The same for many interventions that act from a layer on, as `Reference.at`."""
        return replace(self, reference=self.reference.at(self.model, layer))

    def cost(self, steering: Steering = ()) -> RefusalCost:
        """What steering does to the requests, and to the predictions of the model's own answers."""
        answers = generate(
            self.model, self.prompts, steering, max_new_tokens=self.answer_tokens, progress=False
        )
        refused = [bool(each) for each in self.judge(self.requests, answers)]
        found = cost(self.model, self.reference, steering)
        return RefusalCost(
            proportion(sum(refused), len(refused)), found.mean_kl, found.cross_entropy_change
        )


@dataclass(frozen=True, eq=False)
class RefusalOutcomes:
    """A model, its parent, and requests, with what is known of them before any steering."""

    model: HookedModel
    parent: HookedModel
    harmful: tuple[str, ...]
    harmless: Harmless
    ask: Callable[[str], str]
    judge: Judge
    answer_tokens: int
    threshold: float

    @classmethod
    def of(
        cls,
        model: HookedModel,
        parent: HookedModel,
        harmful: Sequence[str],
        harmless: Sequence[str],
        ask: Callable[[str], str],
        *,
        judge: Judge | None = None,
        answer_tokens: int = LEAST_TOKENS,
        harmless_tokens: int = LEAST_TOKENS // 2,
        progress: bool = False,
    ) -> RefusalOutcomes:
        """Read both models' own answers. `ask` makes the prompt that asks a request.

        Raises ValueError where there are no requests of a kind, or the model answers nothing.
        """
        if not harmful or not harmless:
            raise ValueError(
                f"{len(harmful)} harmful and {len(harmless)} harmless requests: none may be 0"
            )
        threshold = own_surprisal(
            parent, [ask(each) for each in harmful], answer_tokens, progress=progress
        )
        judging = judge or refusal_phrases()
        costs = Harmless.of(
            model, harmless, ask, judge=judging, answer_tokens=harmless_tokens, progress=progress
        )
        return cls(model, parent, tuple(harmful), costs, ask, judging, answer_tokens, threshold)

    def attack(self, steering: Steering = ()) -> Attack:
        """Answers to the harmful requests, judged by the strict rule."""
        return attack(
            self.model,
            self.parent,
            [self.ask(each) for each in self.harmful],
            self.harmful,
            steering,
            judge=self.judge,
            max_new_tokens=self.answer_tokens,
            threshold=self.threshold,
        )

    def cost(self, steering: Steering = ()) -> RefusalCost:
        """What harmless requests pay."""
        return self.harmless.cost(steering)
