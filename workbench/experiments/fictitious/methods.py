"""The ways of making a vector against retraction from one false claim, and from many."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pandas as pd

from workbench.experiments.fictitious.claims import Claims
from workbench.experiments.fictitious.settings import FictitiousSettings
from workbench.methods import Example, mean_difference, optimize
from workbench.methods.one_shot import likely_completions, reentrant, reference_losses
from workbench.models.hooked import n_layers
from workbench.models.identity import facts_of
from workbench.steering import SteeringVector, generate


@dataclass(frozen=True)
class Making:
    """Makes vectors of one layer from a training claim (a row), by method."""

    claims: Claims
    settings: FictitiousSettings

    def train(self) -> pd.DataFrame:
        """The false claims to train on, in the order in which they are taken."""
        train = self.claims.train
        return train[train["false"]].sample(frac=1, random_state=self.settings.seed)

    def promotion(self, claim: pd.Series, layer: int, seed: int) -> SteeringVector:
        """Promotes what the model would say of the person after the true occupation.

        The likeliest completions there, until they are as likely here (v2, section 6).
        """
        settings, model = self.settings, self.claims.model
        real = self.claims.prompt(claim["person"], claim["true"])
        likely = likely_completions(
            model, real, k=settings.completions, length=settings.completion_tokens
        )
        texts = [each.text for each in likely if each.retokenizes and not each.stopped]
        example = Example(
            self._prompt(claim),
            promote=texts,
            target_losses=reference_losses(model, real, texts, coldness=settings.coldness),
        )
        return optimize(
            model,
            example,
            layer,
            target_of="completion",
            progress=False,
            seed=seed,
            **self.job(),
        ).vector

    def suppression(self, claim: pd.Series, layer: int, seed: int) -> SteeringVector:
        """Suppresses what the model itself begins its retraction with."""
        return optimize(
            self.claims.model,
            self.retraction(claim),
            layer,
            least_change=1e-6,
            progress=False,
            seed=seed,
            **self.job(),
        ).vector

    def reentrant(self, claim: pd.Series, layer: int, seed: int) -> SteeringVector:
        """Writes at `layer` what suppression at an earlier one makes the model say."""
        return reentrant(
            self.claims.model,
            self.retraction(claim),
            layer,
            early_layer=self.settings.early_layer,
            early={"seed": seed, **self.job()},
            progress=False,
            seed=seed,
            **self.job(),
        ).vector

    def means(self) -> list[SteeringVector]:
        """The difference of means, true claims minus false ones, at every layer."""
        train = self.train().iloc[: self.settings.train_claims]
        model = self.claims.model
        found = mean_difference(
            model,
            self.claims.prompts(train, "true"),
            self.claims.prompts(train),
            layers=[layer for layer in self.settings.layers if layer < n_layers(model)],
        )
        return [vector.labelled(f"difference of means, layer {vector.layer}") for vector in found]

    def retraction(self, claim: pd.Series) -> Example:
        """What suppression is trained on: the first tokens of the model's own retraction.

        And the end of its turn, with which a small model else takes nothing back by saying nothing.
        """
        prompt = self._prompt(claim)
        (said,) = generate(
            self.claims.model,
            [prompt],
            max_new_tokens=self.settings.suppressed_tokens,
            progress=False,
        )
        stops = facts_of(self.claims.model).stop_ids if self.settings.suppress_end else ()
        ends = [self.claims.model.tokenizer.decode([stop]) for stop in stops[:1]]
        return Example(prompt, suppress=[said, *ends])

    def job(self) -> dict[str, Any]:
        """How a vector is trained: settings of `OneShotJob`."""
        settings = self.settings
        return {
            "steps": settings.steps,
            "learning_rate": settings.learning_rate,
            "coldness": settings.coldness,
            "max_norm": settings.max_norm,
        }

    def _prompt(self, claim: pd.Series) -> str:
        return self.claims.prompt(claim["person"], claim["occupation"])


METHODS: dict[str, Callable[[Making, pd.Series, int, int], SteeringVector]] = {
    "promotion": Making.promotion,
    "suppression": Making.suppression,
    "reentrant": Making.reentrant,
}
