"""What makes a job's vector: a name for each method that a study may ask for.

`one-shot` takes the settings of `OneShotJob`, and a pack of its jobs is optimized together.
`gradient` takes norm and coldness; `random` a norm; `mean-difference` a norm (its own without), and
examples with `positive` and `negative` prompts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import torch

from workbench.methods import gradient_direction, mean_difference, random_vector
from workbench.methods.one_shot import (
    Balance,
    Example,
    LargestChange,
    LeastNorm,
    Noise,
    OneShotJob,
    finished,
    optimize_batch,
)
from workbench.models.hooked import HookedModel, d_model
from workbench.runs.job import StudyJob
from workbench.steering.positions import Positions
from workbench.steering.provenance import Provenance
from workbench.steering.vector import SteeringVector

Format = Callable[[str], str]
Make = Callable[[HookedModel, Sequence[StudyJob], Format, int | None], list[SteeringVector]]
_PARTS = {"noise": Noise, "constraint": LeastNorm, "change": LargestChange, "balance": Balance}
# Given by the job itself; or no plain data, or more than one vector.
_NOT_SETTINGS = ("examples", "layer", "seed", "label", "one_a_layer", "orthogonal_to", "history")
_CONTRAST = ("positive", "negative")


@dataclass(frozen=True)
class Maker:
    """How vectors are made of jobs.

    `needs`: an example fits that has one of these. `seeded`: whether the seed matters. `check`
    raises ValueError, or TypeError for a setting that there is not, before any model is loaded.
    """

    make: Make
    needs: tuple[str, ...]
    seeded: bool
    check: Callable[[StudyJob], object]

    def fits(self, texts: Sequence[Mapping[str, Any]]) -> bool:
        """Whether an example has what this needs."""
        return all(any(each.get(name) for name in self.needs) for each in texts)


def one_shot_job(job: StudyJob, chat: Format = str) -> OneShotJob:
    """The optimization that a job asks for. Raises ValueError or TypeError for bad settings."""
    settings = {name: value for name, value in job.settings.items() if name != "maker"}
    known = {each.name for each in fields(OneShotJob)} - set(_NOT_SETTINGS)
    unknown = sorted(set(settings) - known)
    if unknown:
        raise ValueError(f"a study's one-shot method has no setting {unknown[0]!r}")
    if settings.get("intervention") in ("affine", "matrix"):
        raise ValueError("a study keeps vectors: intervention must be 'add' or 'clamp'")
    for name, kind in _PARTS.items():
        if name in settings:
            settings[name] = kind(**settings[name])
    if "positions" in settings:
        settings["positions"] = Positions.from_dict(settings["positions"])
    return OneShotJob(
        [_example(each, chat) for each in job.texts],
        job.layer,
        seed=job.seed,
        label=job.label,
        **settings,
    )


def _one_shot(
    model: HookedModel, jobs: Sequence[StudyJob], chat: Format, budget: int | None
) -> list[SteeringVector]:
    asked = [one_shot_job(job, chat) for job in jobs]
    return finished(optimize_batch(model, asked, progress=False, token_budget=budget), asked)


def _gradient(
    model: HookedModel, jobs: Sequence[StudyJob], chat: Format, budget: int | None
) -> list[SteeringVector]:
    return [
        gradient_direction(
            model,
            [_example(each, chat) for each in job.texts],
            job.layer,
            label=job.label,
            **_settings(job, norm=1.0, coldness=1.0),
        )
        for job in jobs
    ]


def _random(
    model: HookedModel, jobs: Sequence[StudyJob], chat: Format, budget: int | None
) -> list[SteeringVector]:
    made = []
    for job in jobs:
        like = SteeringVector(torch.ones(d_model(model)), job.layer, Provenance.of("ones", model))
        norm = _settings(job, norm=1.0)["norm"]
        made.append(random_vector(like.normalized(norm), job.seed, job.label))
    return made


def _mean_difference(
    model: HookedModel, jobs: Sequence[StudyJob], chat: Format, budget: int | None
) -> list[SteeringVector]:
    made = []
    for job in jobs:
        positive, negative = (
            [chat(prompt) for each in job.texts for prompt in each[side]] for side in _CONTRAST
        )
        (vector,) = mean_difference(model, positive, negative, layers=[job.layer], label=job.label)
        norm = _settings(job, norm=None)["norm"]
        made.append(vector if norm is None else vector.normalized(norm).labelled(job.label))
    return made


def _example(texts: Mapping[str, Any], chat: Format) -> Example:
    given = {name: value for name, value in texts.items() if name not in _CONTRAST}
    if "positions" in given:
        given["positions"] = Positions.from_dict(given["positions"])
    return Example(**{**given, "prompt": chat(given["prompt"])})


def _settings(job: StudyJob, **known: Any) -> dict[str, Any]:
    """The job's settings over their defaults. Raises TypeError for one that is not known."""
    given = {name: value for name, value in job.settings.items() if name != "maker"}
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise TypeError(f"{job.maker!r} has no setting {unknown[0]!r}: it knows {', '.join(known)}")
    return {**known, **given}


def _check_gradient(job: StudyJob) -> None:
    _settings(job, norm=1.0, coldness=1.0)
    for each in job.texts:
        _example(each, str)


def _check_contrast(job: StudyJob) -> None:
    _settings(job, norm=None)
    for each in job.texts:
        if any(isinstance(each.get(side), str) or not each.get(side) for side in _CONTRAST):
            raise ValueError(f"the example needs lists of prompts: {' and '.join(_CONTRAST)}")


MAKERS: dict[str, Maker] = {
    "one-shot": Maker(_one_shot, ("promote", "suppress"), True, one_shot_job),
    "gradient": Maker(_gradient, ("promote", "suppress"), False, _check_gradient),
    "random": Maker(_random, ("promote", "suppress"), True, lambda job: _settings(job, norm=1.0)),
    "mean-difference": Maker(_mean_difference, _CONTRAST, False, _check_contrast),
}
