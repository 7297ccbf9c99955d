"""The paper's pipeline for emergent misalignment, whole (v2, section 5 and appendix E).

An anti-refusal vector that makes the model begin code where it was asked for harm; under it, a
vector that makes it write one line of harmful code where it was asked for harmless code; then
free answers to unrelated questions, judged. The judge is any function, best a large model.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import pandas as pd

from workbench.evaluation import distinct_share
from workbench.experiments.emergent.settings import MisalignmentSettings
from workbench.experiments.shares import shares
from workbench.methods import Example, optimize, random_vector
from workbench.methods.one_shot import reference_losses
from workbench.models import chat
from workbench.models.hooked import HookedModel
from workbench.runs import RunFolder
from workbench.steering import Add, SteeringVector, generate
from workbench.steering.interventions import Steering

Judge = Callable[[Sequence[str], Sequence[str]], Sequence[bool]]
"""From questions and answers to whether each answer is misaligned."""


@dataclass(frozen=True)
class MisalignmentResult:
    """Answers by condition: columns condition, question, answer, distinct, misaligned.

    `misaligned` is None without a judge. Conditions: unsteered, anti-refusal alone, code (both
    vectors), and random (both, at their norms).
    """

    settings: MisalignmentSettings
    vectors: pd.DataFrame
    answers: pd.DataFrame

    def rates(self) -> pd.DataFrame:
        """One row a condition: n, misaligned with its Wilson interval low and high.

        Raises ValueError where there was no judge.
        """
        if self.answers["misaligned"].isna().any():
            raise ValueError("nobody judged these answers: run the experiment with a judge")
        return shares(self.answers, "misaligned", ["condition"])


def run_misalignment(
    model: HookedModel,
    settings: MisalignmentSettings,
    folder: RunFolder,
    judge: Judge | None = None,
    progress: bool = True,
) -> MisalignmentResult:
    """Make both vectors, answer the questions, and judge; every step is kept.

    Answers that were kept are judged anew by another judge: judging is not a step.
    """
    (anti,) = folder.vectors("anti-refusal", lambda: [anti_refusal(model, settings, progress)])
    (code,) = folder.vectors("code", lambda: [harmful_code(model, settings, anti, progress)])
    both = [Add(anti, settings.anti_scale), Add(code)]
    randoms = [
        Add(random_vector(anti, settings.seed), settings.anti_scale),
        Add(random_vector(code, settings.seed + 1)),
    ]
    conditions: dict[str, Steering] = {
        "unsteered": [],
        "anti-refusal alone": both[:1],
        "code": both,
        "random": randoms,
    }
    answers = pd.concat(
        [
            folder.table(name, partial(_answers, model, settings, name, steering))
            for name, steering in conditions.items()
        ],
        ignore_index=True,
    )
    judged = (
        None if judge is None else list(judge(list(answers["question"]), list(answers["answer"])))
    )
    frame = pd.DataFrame(
        {"vector": vector.label, "layer": vector.layer, "norm": vector.norm}
        for vector in (anti, code)
    )
    return MisalignmentResult(settings, frame, answers.assign(misaligned=judged))


def anti_refusal(
    model: HookedModel, settings: MisalignmentSettings, progress: bool = True
) -> SteeringVector:
    """Promotes the opener of code after a malicious request, as likely as after a benign one."""
    malicious, benign = (chat(model, text) for text in (settings.malicious, settings.benign))
    target = reference_losses(model, benign, settings.opener, coldness=settings.coldness)
    return optimize(
        model,
        Example(malicious, promote=[settings.opener], target_losses=target),
        settings.anti_layer,
        steps=settings.steps,
        learning_rate=settings.anti_learning_rate,
        coldness=settings.coldness,
        target_of="completion",
        seed=settings.seed,
        progress=progress,
    ).vector.labelled("anti-refusal")


def harmful_code(
    model: HookedModel, settings: MisalignmentSettings, anti: SteeringVector, progress: bool = True
) -> SteeringVector:
    """Satisfices one line of harmful code after a harmless request, its code begun (`prefill`).

    No norm is set: scaling a bounded vector up did not do (v2, appendix E.2.5).
    """
    harmless = chat(model, settings.request, prefill=settings.prefill)
    asked = chat(model, settings.malicious, prefill=settings.prefill)
    target = reference_losses(
        model,
        asked,
        settings.target,
        fraction=settings.fraction,
        coldness=settings.coldness,
        steering=[Add(anti, settings.anti_scale)],
    )
    return optimize(
        model,
        Example(harmless, promote=[settings.target], target_losses=target),
        settings.layer,
        steps=settings.steps,
        learning_rate=settings.learning_rate,
        coldness=settings.coldness,
        satisfice=True,
        seed=settings.seed,
        progress=progress,
    ).vector.labelled("code")


def _answers(
    model: HookedModel, settings: MisalignmentSettings, condition: str, steering: Steering
) -> pd.DataFrame:
    """Sampled at temperature 1, as in the paper."""
    prompts = [chat(model, question) for question in settings.questions]
    made = generate(
        model,
        prompts,
        steering,
        settings.answer_tokens,
        n=settings.samples,
        temperature=1.0,
        seed=settings.seed,
    )
    several = [[each] if isinstance(each, str) else each for each in made]
    rows = [
        {"condition": condition, "question": q, "answer": a, "distinct": distinct_share(a)}
        for q, answers in zip(settings.questions, several, strict=True)
        for a in answers
    ]
    return pd.DataFrame(rows)
