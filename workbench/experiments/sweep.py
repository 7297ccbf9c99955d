"""A layer sweep on one example: vectors of every layer and seed, what they do, what they cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from workbench.analysis import LayerSweep, layer_sweep, log_prob_outcome
from workbench.evaluation import Reference
from workbench.experiments.questions import UNSEEN, VALIDATION
from workbench.figures import Report, draw_layer_sweep
from workbench.methods import Example
from workbench.methods.one_shot import sweep_layers
from workbench.models import chat
from workbench.models.hooked import HookedModel
from workbench.steering import VectorSet, generate, log_prob


@dataclass(frozen=True)
class SweepSettings:
    """What is trained, and how. `layers` None: all of them."""

    promoted: str
    layers: Sequence[int] | None = None
    seeds: Sequence[int] = (0, 1, 2, 3)
    steps: int = 20
    learning_rate: float = 0.5
    coldness: float = 0.7
    max_norm: float = 25.0
    target_loss: float | None = 0.3
    held_out: int = 24
    harmless: int = 32
    harmless_tokens: int = 32


@dataclass(frozen=True, eq=False)
class SweepResult:
    """The sweep, its vectors, and the unsteered mean log-prob of what is promoted."""

    settings: SweepSettings
    question: str
    sweep: LayerSweep
    vectors: VectorSet
    unsteered: float


def run_sweep(
    model: HookedModel, question: str, settings: SweepSettings, progress: bool = True
) -> SweepResult:
    """Train on one question at every layer, measure on held-out ones.

    The outcome is the log-prob a token of the promoted completion; cost is KL on the unsteered
    model's own answers, of `harmless_tokens` each, to questions that are in neither.
    """
    asked = [text for text in VALIDATION if text != question][: settings.held_out]
    asked_prompts = [chat(model, text) for text in asked]
    others = [
        chat(model, text) for text in (*UNSEEN, *VALIDATION) if text not in {question, *asked}
    ]
    runs = sweep_layers(
        model,
        Example(chat(model, question), promote=[settings.promoted]),
        settings.layers,
        settings.seeds,
        steps=settings.steps,
        learning_rate=settings.learning_rate,
        coldness=settings.coldness,
        max_norm=settings.max_norm,
        target_loss=settings.target_loss,
        progress=progress,
    )
    n = settings.harmless_tokens
    said = generate(
        model, others[: settings.harmless], max_new_tokens=n, min_new_tokens=n, progress=progress
    )
    reference = Reference.of(model, others[: settings.harmless], said)
    promoted = [settings.promoted] * len(asked_prompts)
    vectors = VectorSet(run.vector for run in runs.runs)
    sweep = layer_sweep(
        model,
        vectors,
        log_prob_outcome(model, asked_prompts, promoted),
        reference,
        progress=progress,
    )
    unsteered = float(log_prob(model, asked_prompts, promoted).mean.mean())
    return SweepResult(settings, question, sweep, vectors, unsteered)


def write_sweep(result: SweepResult, folder: str | Path) -> Path:
    """Write the vectors and `report.html` into a folder; returns the page's path."""
    folder = Path(folder)
    result.vectors.save(folder / "vectors")
    settings, sweep = result.settings, result.sweep
    report = Report(
        "Where in the model does a vector work?",
        f"“{result.question}”, {len(set(sweep.layers))} layers, {len(settings.seeds)} seeds",
        lead=(
            f"At every layer vectors were trained on one question, to promote "
            f"“{settings.promoted}”. How likely that is after {sweep.outcomes.shape[1]} other "
            "questions, and what it costs on the model's own answers to yet others:"
        ),
    )
    report.figure(
        draw_layer_sweep(sweep, unsteered=result.unsteered),
        "None of the questions was trained on. KL is in nats a token, on unsteered answers.",
    )
    report.table(sweep.by_layer().round(3), "By layer: means, and a two-level interval.")
    report.details("Settings", asdict(settings))
    return report.save(folder / "report.html")
