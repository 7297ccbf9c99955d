"""The ways of making a vector against retraction from one false claim, and from many."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from workbench.evaluation import says
from workbench.experiments.fictitious.claims import Claims
from workbench.experiments.fictitious.settings import FictitiousSettings
from workbench.methods import Example, OneShotJob, mean_difference, optimize_batch
from workbench.methods.one_shot import (
    finished,
    imitate,
    likely_completions,
    reference_losses,
)
from workbench.models.hooked import HookedModel
from workbench.models.identity import facts_of
from workbench.models.text import completion_ids
from workbench.steering import Add, SteeringVector, generate

METHODS = ("promotion", "suppression", "reentrant")


@dataclass(frozen=True)
class Making:
    """Makes vectors from training claims (rows of `candidates`), by method."""

    claims: Claims
    settings: FictitiousSettings
    progress: bool = False

    def train(self) -> pd.DataFrame:
        """The false claims to train on, in the order in which they are taken."""
        train = self.claims.train
        return train[train["false"]].sample(frac=1, random_state=self.settings.seed)

    def candidates(self) -> pd.DataFrame:
        """The first of them, and what the model says.

        Columns: person, occupation, true, answer, begins (the text of the answer's first tokens,
        which is suppressed), and fits (whether it takes the claim back, and those tokens are the
        same when they are read after the prompt).
        """
        rows = self.train().iloc[: self.settings.candidates]
        model, prompts = self.claims.model, self.claims.prompts(rows)
        written = generate(
            model,
            prompts,
            max_new_tokens=self.settings.answer_tokens,
            progress=self.progress,
            details=True,
        )
        answers = [each.text for each in written]
        first = [each.tokens[: self.settings.suppressed_tokens].tolist() for each in written]
        begins = [model.tokenizer.decode(ids, skip_special_tokens=True) for ids in first]
        back = [hit is not None for hit in says(answers, self.claims.phrases).matched]
        cut = zip(prompts, begins, first, strict=True)
        return rows[["person", "occupation", "true"]].assign(
            answer=answers,
            begins=begins,
            fits=[b and _is_cut_so(model, *each) for b, each in zip(back, cut, strict=True)],
        )

    def early(self, claims: pd.DataFrame) -> list[SteeringVector]:
        """The first stage of reentrant steering, a vector of the early layer for each claim."""
        return self._trained(
            [
                self._job(self.retraction(claim), self.settings.early_layer, i, f"early {i + 1}")
                for i, claim in enumerate(rows_of(claims))
            ]
        )

    def vectors(
        self,
        method: str,
        claims: pd.DataFrame,
        layers: Sequence[int],
        early: Sequence[SteeringVector],
    ) -> list[SteeringVector]:
        """One for each claim and layer; `early` are the claims' first stages."""
        own: dict[str, dict[str, Any]] = {
            "suppression": {"least_change": 1e-6},
            "promotion": {"target_of": "completion"},
        }
        makes = {
            "promotion": lambda claim, stage: self.promotion(claim),
            "suppression": lambda claim, stage: self.retraction(claim),
            "reentrant": self.imitation,
        }
        pairs = zip(rows_of(claims), early, strict=False)
        examples = [makes[method](claim, stage) for claim, stage in pairs]
        return self._trained(
            [
                self._job(
                    example, layer, i, f"{method} {i + 1}, layer {layer}", **own.get(method, {})
                )
                for layer in layers
                for i, example in enumerate(examples)
            ]
        )

    def promotion(self, claim: Mapping[str, Any]) -> Example:
        """Promotes what the model would say of the person after the true occupation.

        The likeliest completions there, until they are as likely here (v2, section 6). Twice as
        many are searched as are taken, because some are cut into other tokens when they are read.
        """
        settings, model = self.settings, self.claims.model
        real = self.claims.prompt(claim["person"], claim["true"])
        likely = likely_completions(
            model, real, k=2 * settings.completions, length=settings.completion_tokens
        )
        texts = [each.text for each in likely if each.retokenizes and not each.stopped]
        texts = texts[: settings.completions]
        if not texts:
            raise ValueError(f"nothing likely that is said of {claim['person']} can be trained on")
        return Example(
            self._prompt(claim),
            promote=texts,
            target_losses=reference_losses(model, real, texts, coldness=settings.coldness),
        )

    def retraction(self, claim: Mapping[str, Any]) -> Example:
        """Suppresses the first tokens of the model's own retraction.

        And the end of its turn, with which a small model else takes nothing back by saying nothing.
        """
        stops = facts_of(self.claims.model).stop_ids if self.settings.suppress_end else ()
        ends = [self.claims.model.tokenizer.decode([stop]) for stop in stops[:1]]
        return Example(self._prompt(claim), suppress=[claim["begins"], *ends])

    def imitation(self, claim: Mapping[str, Any], early: SteeringVector) -> Example:
        """What reentrant steering writes later: what the model says under the early vector."""
        prompt = self._prompt(claim)
        said = imitate(self.claims.model, [prompt], [Add(early)], coldness=self.settings.coldness)
        return Example(prompt, imitate=said)

    def means(self) -> list[SteeringVector]:
        """The difference of means, true claims minus false ones, at every layer."""
        train = self.train().iloc[: self.settings.train_claims]
        found = mean_difference(
            self.claims.model, self.claims.prompts(train, "true"), self.claims.prompts(train)
        )
        return [vector.labelled(f"difference of means, layer {vector.layer}") for vector in found]

    def settings_of_jobs(self) -> dict[str, Any]:
        """How a vector is trained: settings of `OneShotJob`."""
        settings = self.settings
        return {
            "steps": settings.steps,
            "learning_rate": settings.learning_rate,
            "coldness": settings.coldness,
            "max_norm": settings.max_norm,
        }

    def _job(
        self, example: Example, layer: int, number: int, label: str, **changes: Any
    ) -> OneShotJob:
        seed = self.settings.seed + number
        settings = {**self.settings_of_jobs(), **changes}
        return OneShotJob([example], layer, seed=seed, label=label, **settings)

    def _trained(self, jobs: Sequence[OneShotJob]) -> list[SteeringVector]:
        return finished(optimize_batch(self.claims.model, jobs, progress=self.progress), jobs)

    def _prompt(self, claim: Mapping[str, Any]) -> str:
        return self.claims.prompt(claim["person"], claim["occupation"])


def trainable(candidates: pd.DataFrame, count: int) -> pd.DataFrame:
    """The first that fit. Raises ValueError where there are fewer."""
    fitting = candidates[candidates["fits"]]
    if len(fitting) < count:
        raise ValueError(
            f"the model takes back {len(fitting)} of {len(candidates)} training claims, and "
            f"{count} are needed: raise `candidates`"
        )
    return fitting.iloc[:count]


def rows_of(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """By name of column."""
    return [{str(name): value for name, value in row.items()} for _, row in frame.iterrows()]


def _is_cut_so(model: HookedModel, prompt: str, text: str, ids: list[int]) -> bool:
    """Whether a text after its prompt is these tokens."""
    try:
        return bool(text) and completion_ids(model, prompt, text)[1] == ids
    except ValueError:
        return False
