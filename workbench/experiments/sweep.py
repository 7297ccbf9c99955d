"""A layer sweep on one example: vectors of every layer and seed, what they do, what they cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cache, partial
from pathlib import Path

import pandas as pd
from tqdm.auto import tqdm

from workbench.analysis import LayerSweep, layer_sweep, log_prob_outcome
from workbench.evaluation import Reference
from workbench.experiments.questions import UNSEEN, VALIDATION
from workbench.figures import Report, draw_layer_sweep
from workbench.methods import Example
from workbench.methods.one_shot import sweep_layers
from workbench.models import chat
from workbench.models.hooked import HookedModel, check_layer, n_layers
from workbench.models.identity import record_of
from workbench.runs import RunFolder
from workbench.steering import SteeringVector, VectorSet, generate, log_prob

# About how many vectors are trained in one step, so that a run that is killed loses no more. On two
# CPU cores training all 30 layers of the embedded model so takes 6% longer than at once. Measuring
# is by layer: there vectors of several share nothing.
_TOGETHER = 32


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
    """The sweep, its vectors, the unsteered mean log-prob of what is promoted, and the page."""

    settings: SweepSettings
    question: str
    sweep: LayerSweep
    vectors: VectorSet
    unsteered: float
    page: Path


def run_sweep(
    model: HookedModel,
    question: str,
    settings: SweepSettings,
    out: str | Path = "out/sweep",
    progress: bool = True,
) -> SweepResult:
    """Train on one question at every layer, measure on held-out ones, and write the page.

    The outcome is the log-prob a token of the promoted completion; cost is KL on the unsteered
    model's own answers, of `harmless_tokens` each, to questions that are in neither. What is
    finished in `out` is not done again.

    Raises IndexError for a layer that is not there, ValueError without layers or seeds, and for
    a folder with a run of other settings.
    """
    layers = sorted(set(range(n_layers(model)) if settings.layers is None else settings.layers))
    for layer in layers:
        check_layer(model, layer)
    if not layers or not settings.seeds:
        raise ValueError("a sweep needs at least one layer and one seed")
    record = {
        "question": question,
        "model": asdict(record_of(model)),
        "settings": asdict(settings),
    }
    with RunFolder(out, record) as folder:
        work = _Sweep(model, question, settings, folder, progress)
        size = max(1, _TOGETHER // len(settings.seeds))
        made: list[SteeringVector] = []
        measured: list[pd.DataFrame] = []
        for start in range(0, len(layers), size):
            some = layers[start : start + size]
            together = f"layers-{some[0]:02d}-{some[-1]:02d}"
            made += list(folder.vectors(together, partial(work.vectors, some)))
        for layer in tqdm(layers, desc="measuring", unit="layer", disable=not progress):
            at_layer = partial(work.measured, VectorSet(made).where(layer=layer))
            measured.append(folder.table(f"layer-{layer:02d}", at_layer))
        found = SweepResult(
            settings,
            question,
            _sweep_of(pd.concat(measured, ignore_index=True)),
            VectorSet(made),
            float(folder.table("unsteered", work.unsteered)["outcome"].mean()),
            folder.path / "report.html",
        )
        sweep_page(found).save(found.page)
    return found


def sweep_page(result: SweepResult) -> Report:
    """The page itself, not yet written."""
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
    return report


class _Sweep:
    """The steps. What they share is computed when one of them is done, not before."""

    def __init__(
        self,
        model: HookedModel,
        question: str,
        settings: SweepSettings,
        folder: RunFolder,
        progress: bool,
    ) -> None:
        self.model, self.settings, self.folder = model, settings, folder
        self.question, self.progress = question, progress
        asked = [text for text in VALIDATION if text != question][: settings.held_out]
        self.asked = [chat(model, text) for text in asked]
        others = [text for text in (*UNSEEN, *VALIDATION) if text not in {question, *asked}]
        self.harmless = [chat(model, text) for text in others[: settings.harmless]]
        self.promoted = [settings.promoted] * len(asked)
        self.outcome = log_prob_outcome(model, self.asked, self.promoted)
        self.reference = cache(self._reference)

    def vectors(self, layers: Sequence[int]) -> list[SteeringVector]:
        """Vectors of these layers, of every seed, trained together."""
        settings = self.settings
        runs = sweep_layers(
            self.model,
            Example(chat(self.model, self.question), promote=[settings.promoted]),
            layers,
            settings.seeds,
            steps=settings.steps,
            learning_rate=settings.learning_rate,
            coldness=settings.coldness,
            max_norm=settings.max_norm,
            target_loss=settings.target_loss,
            progress=self.progress,
        )
        return [run.vector for run in runs.runs]

    def measured(self, vectors: VectorSet) -> pd.DataFrame:
        """A row a vector: those of `LayerSweep.to_frame`, and its outcome after each prompt."""
        sweep = layer_sweep(self.model, vectors, self.outcome, self.reference(), progress=False)
        names = [f"prompt {i + 1}" for i in range(sweep.outcomes.shape[1])]
        return pd.concat([sweep.to_frame(), pd.DataFrame(sweep.outcomes, columns=names)], axis=1)

    def unsteered(self) -> pd.DataFrame:
        """A row a prompt: prompt, outcome."""
        found = log_prob(self.model, self.asked, self.promoted).mean
        return pd.DataFrame({"prompt": self.asked, "outcome": found.tolist()})

    def _reference(self) -> Reference:
        def said() -> pd.DataFrame:
            n = self.settings.harmless_tokens
            texts = generate(
                self.model,
                self.harmless,
                max_new_tokens=n,
                min_new_tokens=n,
                progress=self.progress,
            )
            return pd.DataFrame({"prompt": self.harmless, "answer": texts})

        answers = self.folder.table("answers", said)
        return Reference.of(self.model, self.harmless, list(answers["answer"]))


def _sweep_of(rows: pd.DataFrame) -> LayerSweep:
    """What `measured` gave, as it was before it was kept."""
    numbers = {name: tuple(rows[name].astype(float)) for name in ("norm", "scale", "loss", "kl")}
    return LayerSweep(
        labels=tuple(rows["vector"]),
        layers=tuple(int(layer) for layer in rows["layer"]),
        norms=numbers["norm"],
        scales=numbers["scale"],
        losses=numbers["loss"],
        outcomes=rows.filter(regex=r"^prompt \d+$").to_numpy(float),
        kl=numbers["kl"],
    )
