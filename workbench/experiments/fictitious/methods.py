"""The ways of making a vector against retraction from one false claim, and from many."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd

from workbench.experiments.fictitious.claims import Claims
from workbench.experiments.fictitious.settings import FictitiousSettings
from workbench.methods import Example, mean_difference, optimize
from workbench.methods.one_shot import likely_completions, reentrant, reference_losses
from workbench.models.hooked import n_layers
from workbench.steering import SteeringVector, generate


@dataclass(frozen=True)
class Making:
    """Makes vectors of one layer from a training claim (a row), by method."""

    claims: Claims
    settings: FictitiousSettings

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
            **self._settings(seed),
        ).vector

    def suppression(self, claim: pd.Series, layer: int, seed: int) -> SteeringVector:
        """Suppresses what the model itself begins its retraction with."""
        return optimize(
            self.claims.model,
            self._retraction(claim),
            layer,
            least_change=1e-6,
            progress=False,
            **self._settings(seed),
        ).vector

    def reentrant(self, claim: pd.Series, layer: int, seed: int) -> SteeringVector:
        """Writes at `layer` what suppression at an earlier one makes the model say."""
        settings = self.settings
        return reentrant(
            self.claims.model,
            self._retraction(claim),
            layer,
            early_layer=settings.early_layer,
            early=self._settings(seed),
            progress=False,
            **self._settings(seed),
        ).vector

    def means(self) -> list[SteeringVector]:
        """The difference of means, true claims minus false ones, at every layer."""
        train = self.claims.train[self.claims.train["false"]].sample(
            self.settings.train_claims, random_state=self.settings.seed
        )
        model = self.claims.model
        found = mean_difference(
            model,
            self.claims.prompts(train, "true"),
            self.claims.prompts(train),
            layers=[layer for layer in self.settings.layers if layer < n_layers(model)],
        )
        return [vector.labelled(f"difference of means, layer {vector.layer}") for vector in found]

    def _retraction(self, claim: pd.Series) -> Example:
        prompt = self._prompt(claim)
        (said,) = generate(
            self.claims.model,
            [prompt],
            max_new_tokens=self.settings.suppressed_tokens,
            progress=False,
        )
        return Example(prompt, suppress=[said])

    def _prompt(self, claim: pd.Series) -> str:
        return self.claims.prompt(claim["person"], claim["occupation"])

    def _settings(self, seed: int) -> dict:
        settings = self.settings
        return {
            "steps": settings.steps,
            "learning_rate": settings.learning_rate,
            "coldness": settings.coldness,
            "max_norm": settings.max_norm,
            "seed": seed,
        }


METHODS: dict[str, Callable[[Making, pd.Series, int, int], SteeringVector]] = {
    "promotion": Making.promotion,
    "suppression": Making.suppression,
    "reentrant": Making.reentrant,
}
