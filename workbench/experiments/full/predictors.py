"""Figures of a vector that need no labels, and how well they rank vectors by what they do."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from scipy.stats import spearmanr

from workbench.evaluation import Reference, cost
from workbench.experiments.full.settings import FullSettings, FullTask
from workbench.methods import OneShotJob, random_vector
from workbench.methods.one_shot import losses_of
from workbench.models import chat
from workbench.models.hooked import HookedModel
from workbench.steering import SteeringVector, VectorSet, generate
from workbench.steering.prepared import lowest_layer

ANSWER_TOKENS = 16


def predictors(
    task: FullTask,
    settings: FullSettings,
    vectors: VectorSet,
    jobs: Sequence[OneShotJob],
) -> pd.DataFrame:
    """One row a vector.

    Columns: those of `training_of`; sharpness (the rise of its loss, in nats,
    under noise of a share of its norm); cosine to the mean of the other items' vectors; kl (nats a
    token) on what the model says to harmless questions.
    """
    items = [job.label.partition(",")[0] for job in jobs]
    return training_of(vectors).assign(
        sharpness=sharpness(task, settings, list(vectors), jobs),
        cosine=cosine_to_others(list(vectors), items),
        kl=_kl(task, list(vectors)),
    )


def training_of(vectors: VectorSet) -> pd.DataFrame:
    """One row a vector: vector, loss (nats), norm, steps, evaluations, stopped."""
    frame = vectors.to_frame()[["label", "loss", "norm", "steps", "evaluations", "stopped"]]
    return frame.rename(columns={"label": "vector"})


def sharpness(
    task: FullTask,
    settings: FullSettings,
    vectors: Sequence[SteeringVector],
    jobs: Sequence[OneShotJob],
) -> list[float]:
    """How much the loss rises, in nats, when noise is added to the vector: the mean of draws."""
    noisy = [
        vector + random_vector(vector, settings.seed + draw) * float(settings.radius)
        for vector in vectors
        for draw in range(settings.noises)
    ]
    examples = [job.examples for job in jobs for _ in range(settings.noises)]
    losses = losses_of(task.model, examples, noisy, coldness=task.job["coldness"])
    rises = np.reshape(losses, (len(vectors), settings.noises)).mean(axis=1)
    return [
        float(rise - vector.provenance.results["loss"])
        for rise, vector in zip(rises, vectors, strict=True)
    ]


def cosine_to_others(vectors: Sequence[SteeringVector], items: Sequence[str]) -> list[float]:
    """Each vector's cosine to the mean direction of the vectors from other items."""
    units = torch.stack([vector.values.double() / vector.norm for vector in vectors])
    found = []
    for unit, item in zip(units, items, strict=True):
        others = units[[i for i, other in enumerate(items) if other != item]]
        found.append(float(torch.cosine_similarity(unit, others.mean(0), dim=0)))
    return found


def rank_correlations(
    table: pd.DataFrame,
    outcome: str,
    names: Sequence[str],
    cluster: str,
    *,
    resamples: int = 2000,
    seed: int = 0,
) -> pd.DataFrame:
    """Spearman's rank correlation of each predictor with the outcome: predictor, rho, low, high, n.

    The interval is a bootstrap over clusters (vectors of one training item are no independent
    sample). Predictors that never vary are left out, and all of them where the outcome does not.
    """
    clusters = [some for _, some in table.groupby(cluster, sort=False)]
    generator = np.random.default_rng(seed)
    draws = [
        pd.concat([clusters[i] for i in generator.integers(len(clusters), size=len(clusters))])
        for _ in range(resamples)
    ]
    rows = []
    for name in names:
        rho = _spearman(table[name], table[outcome])
        if np.isnan(rho) or np.isclose(table[name], table[name].iloc[0]).all():
            continue
        found = [_spearman(draw[name], draw[outcome]) for draw in draws]
        low, high = np.nanquantile(found, [0.025, 0.975])
        rows.append({"predictor": name, "rho": rho, "low": low, "high": high, "n": len(table)})
    return pd.DataFrame(rows)


def _spearman(x: pd.Series, y: pd.Series) -> float:
    """Missing where either never varies."""
    if x.nunique() < 2 or y.nunique() < 2:
        return float("nan")
    return float(spearmanr(x, y).statistic)


def _asked(model: HookedModel, question: str) -> str:
    """In the model's chat format, where it has one."""
    has_format = getattr(model.tokenizer, "chat_template", None) is not None
    return chat(model, question) if has_format else question


def _kl(task: FullTask, vectors: Sequence[SteeringVector]) -> list[float]:
    prompts = [_asked(task.model, question) for question in task.harmless]
    said = generate(task.model, prompts, max_new_tokens=ANSWER_TOKENS, progress=False)
    kept = [i for i, text in enumerate(said) if text]
    reference = Reference.of(task.model, [prompts[i] for i in kept], [said[i] for i in kept])
    below = reference.at(task.model, lowest_layer(task.model, task.apply(vectors[0])))
    return [cost(task.model, below, task.apply(vector)).mean_kl for vector in vectors]
