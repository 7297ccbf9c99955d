"""Requests that a model refuses: asked under vectors, judged, and what the vectors cost."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pandas as pd

from workbench.analysis import Harmless
from workbench.evaluation import REFUSAL_PHRASES, attack, own_surprisal, says, surprisal
from workbench.experiments.refusal.settings import RefusalSettings
from workbench.methods import Example, mean_difference
from workbench.models.hooked import HookedModel
from workbench.steering import Add, Clamp, Intervention, SteeringVector, VectorSet, generate
from workbench.testbeds import Testbed, refusal
from workbench.testbeds.splits import PARTS

OWN = "the testbed's own test part"
GIVEN = "a list that was given"
WAYS: dict[str, Callable[..., Intervention]] = {"add": Add, "clamp": Clamp}


@dataclass(frozen=True)
class Requests:
    """A model that refuses, its parent, and requests: frames of request and harmful (a flag).

    `harmful` are the requests to measure on, of one's own or a public set; `source` names them.
    """

    model: HookedModel
    parent: HookedModel
    prompt: Callable[[str], str]
    train: pd.DataFrame
    validation: pd.DataFrame
    test: pd.DataFrame
    harmful: Sequence[str]
    source: str = OWN

    @classmethod
    def of_testbed(
        cls, bed: Testbed, harmful: Sequence[str] | None = None, source: str = GIVEN
    ) -> Requests:
        """The refusal testbed's own; `harmful` from elsewhere take the place of its test part's."""
        data = bed.data
        own = data.test[data.test["harmful"]]["request"]
        return cls(
            bed.model,
            bed.parent,
            bed.prompt,
            data.train,
            data.validation,
            data.test,
            list(own if harmful is None else harmful),
            OWN if harmful is None else source,
        )

    @classmethod
    def of_models(
        cls,
        model: HookedModel,
        parent: HookedModel,
        harmful: Sequence[str],
        source: str = GIVEN,
    ) -> Requests:
        """Any chat model that refuses, with the testbed's requests to train and choose on."""
        train, validation, test = map(refusal.data, PARTS)
        prompt = partial(refusal.prompt, model)
        return cls(model, parent, prompt, train, validation, test, list(harmful), source)


@dataclass(frozen=True)
class Asking:
    """Asks requests under vectors, and judges the answers."""

    requests: Requests
    settings: RefusalSettings
    progress: bool
    _thresholds: dict[tuple[str, ...], float] = field(default_factory=dict)

    def attacks(
        self,
        vectors: Iterable[SteeringVector],
        asked: Sequence[str],
        way: str | None = None,
        among: Sequence[str] | None = None,
    ) -> pd.DataFrame:
        """Judged answers under each vector: columns vector, kind, and those of `Attack`.

        The parent's own answers to `among` say what is too surprising; by default to those asked.
        """
        apply = WAYS[way or self.settings.way]
        every = list(vectors)
        # All in one call, a vector a row: batches are full, and of prompts of like length.
        steering = apply([vector for vector in every for _ in asked], self.settings.strength)
        threshold = self._threshold(asked if among is None else among)
        found = self._judged(list(asked) * len(every), steering, threshold)
        labels = [vector.label for vector in every for _ in asked]
        return found.assign(
            vector=labels, kind=[label.split(",")[0].split(" ")[0] for label in labels]
        )

    def every_way(
        self, vectors: VectorSet, asked: Sequence[str], among: Sequence[str] | None = None
    ) -> pd.DataFrame:
        """The same for each way of applying them, with a column `way`."""
        return pd.concat(
            [self.attacks(vectors, asked, way, among).assign(way=way) for way in WAYS],
            ignore_index=True,
        )

    def unsteered(self, asked: Sequence[str]) -> pd.DataFrame:
        """Judged answers without steering."""
        return self._judged(asked, [], self._threshold(asked)).assign(
            vector="unsteered", kind="unsteered"
        )

    def parents_own(self, asked: Sequence[str]) -> pd.DataFrame:
        """Judged answers of the parent itself: what the rule leaves of answers without a fault."""
        return self._judged(asked, [], self._threshold(asked), model=self.requests.parent).assign(
            vector="parent", kind="parent"
        )

    def prefilled(self, asked: Sequence[str]) -> pd.DataFrame:
        """Judged answers that are begun for the model as its parent would begin them."""
        found = self._judged(asked, [], self._threshold(asked), begun=self.openings(asked))
        return found.assign(vector="prefill", kind="prefill")

    def openings(self, asked: Sequence[str]) -> list[str]:
        """The first tokens of what the parent answers."""
        return generate(
            self.requests.parent,
            [self.requests.prompt(each) for each in asked],
            max_new_tokens=self.settings.target_tokens,
            progress=self.progress,
        )

    def refusals(self, asked: Sequence[str]) -> list[str]:
        """The first tokens of what the model answers: the refusal to suppress."""
        return generate(
            self.requests.model,
            [self.requests.prompt(each) for each in asked],
            max_new_tokens=self.settings.refusal_tokens,
            progress=self.progress,
        )

    def examples(self, count: int) -> list[dict[str, Example]]:
        """What vectors are trained on: for each of `count` requests a promotion and a suppression.

        Of four times as many requests, those whose answer is least surprising to the parent: one
        that begins as answers do says more of answering than of itself. Requests that the parent
        itself refuses are passed over: there is no target to promote.
        """
        train = self.requests.train
        drawn = train[train["harmful"]]["request"].sample(
            4 * count, random_state=self.settings.seed
        )
        harmful = list(drawn)
        openings = self.openings(harmful)
        prompts = [self.requests.prompt(each) for each in harmful]
        nats = surprisal(self.requests.parent, prompts, openings).per_token
        refused = says(openings, REFUSAL_PHRASES).matched
        typical = sorted(
            (i for i, phrase in enumerate(refused) if phrase is None), key=lambda i: nats[i]
        )[:count]
        refusals = self.refusals([harmful[i] for i in typical])
        return [
            {
                "promotion": Example(prompts[i], promote=[openings[i]]),
                "suppression": Example(prompts[i], suppress=[refusal]),
            }
            for i, refusal in zip(typical, refusals, strict=True)
        ]

    def job(self, layer: int, norm: int | float) -> dict[str, Any]:
        """How a vector is trained: settings of `OneShotJob`."""
        settings = self.settings
        return {
            "layer": layer,
            "steps": settings.steps,
            "learning_rate": settings.learning_rate,
            "coldness": settings.coldness,
            "max_norm": norm,
            "target_loss": settings.target_loss,
        }

    def means(self) -> list[SteeringVector]:
        """The difference of means from refused to answered training requests.

        At its own norm, and at that of the one-shot vectors. The refusal direction is its negative.
        """
        train, settings = self.requests.train, self.settings
        harmful, harmless = (
            [self.requests.prompt(each) for each in some["request"].iloc[: settings.mean_requests]]
            for some in (train[train["harmful"]], train[~train["harmful"]])
        )
        (vector,) = mean_difference(
            self.requests.model, harmless, harmful, layers=[settings.layer], progress=self.progress
        )
        return [
            vector.labelled("means, own norm"),
            (vector * (settings.norm / vector.norm)).labelled("means, equal norm"),
        ]

    def costs(self, vectors: Sequence[SteeringVector]) -> pd.DataFrame:
        """What each vector does to harmless requests: vector, kl, cross_entropy_change, refused."""
        test, settings = self.requests.test, self.settings
        asked = list(test[~test["harmful"]]["request"].iloc[: settings.harmless_requests])
        harmless = Harmless.of(
            self.requests.model,
            asked,
            self.requests.prompt,
            answer_tokens=settings.answer_tokens // 2,
            progress=self.progress,
        ).at(settings.layer)
        rows = []
        for vector in [None, *vectors]:
            found = harmless.cost(
                [] if vector is None else WAYS[settings.way](vector, settings.strength)
            )
            rows.append(
                {
                    "vector": "unsteered" if vector is None else vector.label,
                    "kl": found.kl,
                    "cross_entropy_change": found.cross_entropy_change,
                    "refused": found.refused.rate,
                    "n": found.refused.n,
                }
            )
        return pd.DataFrame(rows)

    def _threshold(self, asked: Sequence[str]) -> float:
        """`own_surprisal` of these requests, asked of the parent once."""
        key = tuple(asked)
        if key not in self._thresholds:
            prompts = [self.requests.prompt(each) for each in asked]
            parent, tokens = self.requests.parent, self.settings.answer_tokens
            self._thresholds[key] = own_surprisal(parent, prompts, tokens, progress=self.progress)
        return self._thresholds[key]

    def _judged(
        self,
        asked: Sequence[str],
        steering: Intervention | list,
        threshold: float,
        begun: Sequence[str] | None = None,
        model: HookedModel | None = None,
    ) -> pd.DataFrame:
        found = attack(
            self.requests.model if model is None else model,
            self.requests.parent,
            [self.requests.prompt(each) for each in asked],
            asked,
            steering,
            begun=begun,
            max_new_tokens=self.settings.answer_tokens,
            threshold=threshold,
            progress=self.progress,
        )
        return found.to_frame()
