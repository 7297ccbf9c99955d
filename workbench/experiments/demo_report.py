"""The demo's page: every figure with a sentence, answers side by side, provenance."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import pandas as pd

from workbench.experiments.demo import Answers, DemoResult, save_vectors
from workbench.experiments.questions import VALIDATION
from workbench.figures import (
    Report,
    draw_cosine_geometry,
    draw_dose,
    draw_layer_strip,
    draw_losses,
    draw_rates,
    draw_vector_lens,
)

GROUPS = {"unsteered": "unsteered", "steered": "steered", "negated": "negated"}


def write_demo(result: DemoResult, folder: str | Path) -> Path:
    """Write the vectors and `report.html` into a folder; returns the page's path."""
    folder = Path(folder)
    save_vectors(result, folder / "vectors")
    return demo_report(result).save(folder / "report.html")


def demo_report(result: DemoResult) -> Report:
    """The page itself, not yet written."""
    settings, run, conditions = result.settings, result.run, result.conditions
    n = len(result.prompts)
    trained_on = settings.training[0]
    report = Report(
        "One example, one vector",
        f"{run.vector.provenance.model.name if run.vector.provenance.model else 'a model'}, "
        f"layer {settings.layer}, {n} unseen questions",
        lead=(
            f"One steering vector was optimized on a single question, “{trained_on}”, until "
            f"the model would begin its answer with “{settings.promoted}”. It was then added while "
            f"the model answered {n} questions it had not been trained on. Answers are greedy. "
            "An answer counts if it begins with all of the promoted words."
        ),
    )
    report.section("Does it generalize?")
    report.table(result.table(), f"Answers to {n} unseen questions; Wilson intervals.")
    add_rates(report, result)
    report.text(result.surprisal_sentence())
    report.section("Answers side by side")
    names = ["unsteered", "steered", "negated"]
    rows = [
        (question, *(conditions[name].texts[i] for name in names))
        for i, question in enumerate(settings.unseen)
    ]
    marks = [(None, *(_mark(conditions[name], i) for name in names)) for i in range(len(rows))]
    report.side_by_side(
        rows,
        ["question", *names],
        f"All {n} answers, cut at {settings.answer_tokens} tokens; none was left out.",
        marks=marks,
    )
    report.section("How strong, and where?")
    add_strength(report, result)
    report.section("The vectors themselves")
    add_vectors(report, result)
    report.section("Provenance")
    report.text(
        f"Question, optimizer, target and norm were chosen on {len(VALIDATION)} other questions, "
        "which are not among those above. The vectors stand beside this page as safetensors files, "
        "each with this record in its metadata."
    )
    report.details(
        "Settings of the demo", {**asdict(settings), "positions": str(settings.positions)}
    )
    report.details("Provenance of the vector", asdict(run.vector.provenance))
    return report


def add_rates(report: Report, result: DemoResult) -> None:
    """How often the behaviour shows, under the vector and its controls."""
    conditions, randoms = result.conditions, _randoms(result)
    report.figure(
        draw_rates(
            {
                **{name: conditions[name].begins.proportion for name in GROUPS},
                "random, equal norm": [answers.begins.proportion for answers in randoms],
            },
            groups={**GROUPS, "random, equal norm": "control"},
        ),
        f"The vector carries over to unseen questions; {len(randoms)} random vectors of the same "
        "norm and the negated vector are the controls.",
    )


def add_strength(report: Report, result: DemoResult) -> None:
    """The same by scale and by layer."""
    unsteered = result.conditions["unsteered"].begins.proportion
    report.figure(
        draw_dose(
            list(result.dose),
            [answers.begins.proportion for answers in result.dose.values()],
            controls={
                "random, equal norm": {
                    1.0: [answers.begins.proportion for answers in _randoms(result)],
                }
            },
        ),
        "The same vector at several scales, negated on the left, with random vectors of its norm.",
    )
    report.figure(
        draw_layer_strip(_layer_frame(result), unsteered=unsteered),
        "One vector a layer, each optimized on the same question with the same settings: where in "
        "the model one example suffices.",
    )


def add_vectors(report: Report, result: DemoResult) -> None:
    """How the vectors were made, how they lie, and what they promote."""
    report.figure(
        draw_losses([result.run, *result.other_runs], target=result.settings.target_loss),
        "Loss in nats before each step of L-BFGS, for the demo's vector and those of other "
        "questions and seeds at the same layer. They stop under the target: vectors that were "
        "optimized further carried no better to other questions, and what follows the promoted "
        "words was less readable.",
    )
    report.figure(
        draw_cosine_geometry(result.geometry),
        "Cosines between vectors of one layer from several questions and seeds, against what two "
        "random vectors of this width have.",
    )
    report.figure(
        draw_vector_lens(result.lens),
        "Tokens that the vector itself promotes and suppresses through the unembedding, its "
        "direct path; what later layers make of it is not in this figure.",
    )


def _randoms(result: DemoResult) -> list[Answers]:
    return [a for name, a in result.conditions.items() if name.startswith("random")]


def _mark(answers: Answers, i: int) -> str | None:
    return "as promoted" if answers.begins.begins[i] else None


def _layer_frame(result: DemoResult) -> pd.DataFrame:
    """One row a layer: its rate with interval, and the final loss."""
    losses = {run.job.layers[0]: run.loss for run in (result.run, *result.layer_runs)}
    return pd.concat(
        [
            answers.begins.proportion.to_frame().assign(layer=layer, loss=losses[layer])
            for layer, answers in result.layers.items()
        ],
        ignore_index=True,
    )
