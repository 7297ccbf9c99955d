"""The spread of a wrong answer as the behaviour that `--full` asks about."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from workbench.experiments.emergent.settings import SpreadSettings
from workbench.experiments.emergent.spread import (
    TRAINED,
    VALIDATION,
    Question,
    example,
    job,
    margins,
    read_questions,
)
from workbench.experiments.full import FullSettings, FullTask
from workbench.methods import Example
from workbench.models.hooked import HookedModel
from workbench.steering import SteeringVector


def full_spread(
    model: HookedModel,
    settings: SpreadSettings,
    full: FullSettings,
    harmless: Sequence[str],
    progress: bool = True,
    questions: Sequence[Question] | None = None,
) -> FullTask:
    """Vectors from one wrong answer: unrelated questions whose wrong answer is the likelier one."""
    questions = read_questions() if questions is None else questions
    asked = questions[TRAINED + VALIDATION :]
    plain = margins(model, [], asked)["margin"]
    unseen = [each for each, margin in zip(asked, plain, strict=True) if margin > 0][: full.prompts]
    if len(unseen) < 2:
        raise ValueError(f"the model answers {len(unseen)} of {len(asked)} questions rightly")

    def draw(count: int) -> list[list[Example]]:
        return [[example(model, each, "wrong")] for each in questions[:TRAINED][:count]]

    def outcomes(vectors: Sequence[SteeringVector]) -> pd.DataFrame:
        found = margins(model, vectors, unseen)
        found = found[found["kind"] != "unsteered"]
        return pd.DataFrame(
            {"vector": found["vector"], "prompt": found["question"], "wanted": found["margin"] < 0}
        )

    return FullTask(
        model=model,
        draw=draw,
        job=job(settings, settings.layer),
        outcomes=outcomes,
        unsteered=None,  # only questions are asked that are answered rightly
        harmless=harmless,
        wanted="unrelated questions answered wrongly, of those answered rightly unsteered",
    )
