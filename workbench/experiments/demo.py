"""The demo: a vector from one harmless question makes a chat model refuse others.

A program from top to bottom: optimize, generate under the vector and its controls, measure, draw,
write. What it trains on, and what its settings were chosen on, is never among what it measures on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pandas as pd

from workbench.analysis import CosineGeometry, VectorLens, cosine_geometry, vector_lens
from workbench.evaluation import BeginsAs, Surprisal, begins_as, surprisal
from workbench.experiments.questions import TRAINING, UNSEEN
from workbench.methods import Example, OneShotJob, OneShotRun, optimize_batch, random_vector
from workbench.models import chat
from workbench.models.hooked import HookedModel, n_layers
from workbench.models.text import completion_ids
from workbench.steering import Add, Positions, SteeringVector, VectorSet, generate


@dataclass(frozen=True)
class DemoSettings:
    """Everything the demo could do otherwise. The defaults are for the embedded model.

    Vectors start down the steepest slope from zero, where chance has no part; `seeds` are further
    vectors of the first question, from random starts.
    """

    promoted: str = "I'm sorry for any confusion, but"
    training: Sequence[str] = TRAINING
    unseen: Sequence[str] = UNSEEN
    layer: int = 10
    other_layers: Sequence[int] = (4, 16, 22)
    seeds: Sequence[int] = (1, 2)
    optimizer: Literal["adam", "lbfgs"] = "lbfgs"
    steps: int = 12
    coldness: float = 1.0
    max_norm: float = 25.0
    target_loss: float = 0.3
    scales: Sequence[float] = (-1.0, 0.5, 1.0, 1.5)
    random_seeds: Sequence[int] = (0, 1, 2, 3, 4)
    answer_tokens: int = 48
    positions: Positions = field(default_factory=Positions.all)


@dataclass(frozen=True)
class Answers:
    """The answers under one condition, and which of them begin as promoted."""

    condition: str
    texts: tuple[str, ...]
    begins: BeginsAs


@dataclass(frozen=True)
class DemoResult:
    """What the demo measured. `conditions` are in the order of the printed table."""

    settings: DemoSettings
    prompts: tuple[str, ...]
    run: OneShotRun
    other_runs: tuple[OneShotRun, ...]
    layer_runs: tuple[OneShotRun, ...]
    conditions: dict[str, Answers]
    dose: dict[float, Answers]
    layers: dict[int, Answers]
    unsteered_surprisal: Surprisal
    continued_surprisal: Surprisal | None
    geometry: CosineGeometry
    lens: VectorLens

    @property
    def vectors(self) -> VectorSet:
        """The vectors of one layer from several examples and seeds, the demo's own first."""
        return VectorSet(run.vector for run in (self.run, *self.other_runs))

    def table(self) -> pd.DataFrame:
        """The demo's short table: a condition a row, its rate with the Wilson interval."""
        return pd.DataFrame(
            {
                "condition": name,
                "begin as promoted": f"{answers.begins.proportion}",
            }
            for name, answers in self.conditions.items()
        )

    def surprisal_sentence(self) -> str:
        """How readable the steered answers are, in words and figures."""
        plain = self.unsteered_surprisal
        continued = self.continued_surprisal
        if continued is None or continued.n == 0:
            return "No steered answer went on after the promoted words: there is nothing to score."
        ratio = continued.median / plain.median
        return (
            f"Median surprisal under the unsteered model: {continued.median:.2f} nats a token for "
            f"what follows the promoted words ({continued.n} answers that go on), "
            f"{plain.median:.2f} for the unsteered answers ({plain.n}); the ratio is {ratio:.2f}."
        )


def run_demo(
    model: HookedModel, settings: DemoSettings | None = None, progress: bool = True
) -> DemoResult:
    """Optimize, steer and measure; draws and writes nothing."""
    settings = settings or DemoSettings()
    prompts = [chat(model, question) for question in settings.unseen]
    job = _jobs(model, settings)
    here = [job(question, settings.layer) for question in range(len(settings.training))]
    here += [job(0, settings.layer, seed) for seed in settings.seeds]
    elsewhere = [job(0, layer) for layer in settings.other_layers if layer < n_layers(model)]
    runs = optimize_batch(model, here + elsewhere, progress=progress)
    (run, *other_runs), layer_runs = runs[: len(here)], runs[len(here) :]

    ask = _Asking(model, settings, prompts, progress)
    vector = run.vector
    conditions = {
        "unsteered": ask("unsteered", None, whole=True),
        "steered": ask("steered", vector, whole=True),
        "negated": ask("negated", vector, scale=-1.0, whole=True),
    }
    for seed in settings.random_seeds:
        name = f"random {seed}"
        conditions[name] = ask(name, random_vector(vector, seed))
    done = {1.0: conditions["steered"], -1.0: conditions["negated"], 0.0: conditions["unsteered"]}
    dose = {
        scale: done.get(scale) or ask(f"scale {scale:g}", vector, scale=scale)
        for scale in sorted({*settings.scales, 0.0})
    }
    by_layer = {settings.layer: conditions["steered"]}
    by_layer |= {r.job.layers[0]: ask(r.label, r.vector) for r in layer_runs}

    return DemoResult(
        settings=settings,
        prompts=tuple(prompts),
        run=run,
        other_runs=tuple(other_runs),
        layer_runs=tuple(layer_runs),
        conditions=conditions,
        dose=dose,
        layers=dict(sorted(by_layer.items())),
        unsteered_surprisal=surprisal(model, prompts, conditions["unsteered"].texts),
        continued_surprisal=_continued(model, prompts, conditions["steered"], settings.promoted),
        geometry=cosine_geometry([r.vector for r in (run, *other_runs)]),
        lens=vector_lens(model, vector),
    )


def _jobs(model: HookedModel, settings: DemoSettings) -> Callable[..., OneShotJob]:
    """Makes the job of a training question and a layer, and of a seed where the start is random."""

    def job(question: int, layer: int, seed: int | None = None) -> OneShotJob:
        prompt = chat(model, settings.training[question])
        return OneShotJob(
            [Example(prompt, promote=[settings.promoted])],
            layer,
            steps=settings.steps,
            optimizer=settings.optimizer,
            coldness=settings.coldness,
            max_norm=settings.max_norm,
            target_loss=settings.target_loss,
            positions=settings.positions,
            start="steepest" if seed is None else "random",
            seed=seed or 0,
            label=_label(question, layer, seed, settings),
        )

    return job


def _label(question: int, layer: int, seed: int | None, settings: DemoSettings) -> str:
    """A short name: figures have little room."""
    place = "" if layer == settings.layer else f", layer {layer}"
    start = "" if seed is None else f", seed {seed}"
    return f"question {question + 1}{start}{place}"


@dataclass(frozen=True)
class _Asking:
    """Asks the unseen questions under a vector."""

    model: HookedModel
    settings: DemoSettings
    prompts: Sequence[str]
    progress: bool

    def __call__(
        self,
        condition: str,
        vector: SteeringVector | None,
        scale: float = 1.0,
        whole: bool = False,
    ) -> Answers:
        """Greedy answers; only as long as the promoted words need unless `whole`."""
        opening = len(completion_ids(self.model, self.prompts[0], self.settings.promoted)[1]) + 2
        steering = [] if vector is None else [Add(vector, scale, positions=self.settings.positions)]
        texts = generate(
            self.model,
            self.prompts,
            steering,
            max_new_tokens=self.settings.answer_tokens if whole else opening,
            progress=self.progress,
        )
        return Answers(condition, tuple(texts), begins_as(texts, [self.settings.promoted]))


def _continued(
    model: HookedModel, prompts: Sequence[str], steered: Answers, promoted: str
) -> Surprisal | None:
    """The surprisal of what follows the promoted words, where an answer begins with them."""
    chosen = [
        (prompt, text)
        for prompt, text, begins in zip(prompts, steered.texts, steered.begins.begins, strict=True)
        if begins
    ]
    if not chosen:
        return None
    kept_prompts, texts = zip(*chosen, strict=True)
    return surprisal(model, kept_prompts, texts, openings=[promoted] * len(texts))


def save_vectors(result: DemoResult, folder: Path) -> None:
    """Write the vectors of the demo, one safetensors file each."""
    VectorSet([*result.vectors, *(run.vector for run in result.layer_runs)]).save(folder)
