"""The page of a declared study: what was made, what it does and costs, and how it was run."""

from __future__ import annotations

from collections.abc import Sized

import pandas as pd

from workbench.analysis import LayerSweep
from workbench.experiments.run_report import sessions_frame
from workbench.figures import Report, draw_layer_sweep
from workbench.runs import StudyFolder, status
from workbench.runs.measures import WORDS
from workbench.runs.tables import jobs_frame, measures_frame, summary_frame

MOST_FIGURES = 24
_COST = "kl"


def study_report(folder: StudyFolder) -> Report:
    """The page of what is done so far, not yet written."""
    study, records = folder.study(), list(folder.records().values())
    found = status(folder)
    jobs, measures = jobs_frame(records), measures_frame(records)
    done = jobs[jobs["state"] == "done"]
    report = Report(
        f"Study: {study.name}",
        f"{study.model['name']}, {found.sentence()}",
        lead=(
            f"{_counted(study.methods, 'method')}, {_counted(study.examples, 'example')}, "
            f"{'layer' if len(study.layers) == 1 else 'layers'} "
            f"{', '.join(map(str, study.layers))}, {_counted(study.seeds, 'seed')}; every vector "
            f"measured at scale {', '.join(f'{scale:g}' for scale in study.scales)} "
            f"({'added' if study.act == 'add' else 'clamped'})."
        ),
    )
    report.section("How far it is")
    report.table(found.to_frame(), "Jobs by method.")
    for error in found.errors:
        report.text(f"Failed: {error}")
    if len(done):
        report.section("What vectors do, and what they cost")
        _figures(report, done, measures)
        report.section("In numbers")
        if len(measures):
            report.table(
                summary_frame(records).round(4),
                "Means over seeds and prompts; unsteered: the model without a vector.",
            )
        report.table(_made(done), "The vectors: means over seeds, losses in nats.")
    report.section("How it was run")
    report.table(sessions_frame(folder), "Every time that it was run.")
    report.details("The declaration", study.to_toml())
    return report


def _counted(some: Sized, word: str) -> str:
    return f"{len(some)} {word}" if len(some) == 1 else f"{len(some)} {word}s"


def _figures(report: Report, done: pd.DataFrame, measures: pd.DataFrame) -> None:
    """A figure for each measure of behaviour, method and example: by layer, with the cost."""
    costs = measures[measures["measure"] == _COST]
    cost = costs[costs["name"] == costs["name"].iloc[0]] if len(costs) else costs
    behaviour = measures[measures["measure"] != _COST]
    # Without a measure of behaviour, what is drawn is the cost itself.
    drawn = behaviour if len(behaviour) else measures
    groups = list(drawn.groupby(["name", "method", "example"], sort=False))
    for (name, method, example), some in groups[:MOST_FIGURES]:
        beside = cost if len(behaviour) else cost.iloc[:0]
        sweep = _sweep(done, some, beside)
        report.figure(
            draw_layer_sweep(
                sweep,
                measure=WORDS[some["measure"].iloc[0]],
                unsteered=float(some["unsteered"].mean()),
                title=f"{name}: {method}, {example}",
            ),
            "A line a scale, a mark a vector; none was chosen, all are shown.",
        )
    if len(groups) > MOST_FIGURES:
        report.text(f"The first {MOST_FIGURES} of {len(groups)} are drawn; all are in the table.")


def _sweep(done: pd.DataFrame, some: pd.DataFrame, cost: pd.DataFrame) -> LayerSweep:
    """Measured vectors of one method and example as a layer sweep."""
    values = some.pivot(index=["layer", "id", "scale"], columns="item", values="value")
    means = cost.groupby(["id", "scale"])["value"].mean()
    keys = values.index.to_frame(index=False)
    about = done.set_index("id").loc[keys["id"]]
    return LayerSweep(
        labels=tuple(
            f"{job}, seed {seed}" for job, seed in zip(about.index, about["seed"], strict=True)
        ),
        layers=tuple(keys["layer"].tolist()),
        norms=tuple(about["norm"].astype(float).tolist()),
        scales=tuple(keys["scale"].astype(float).tolist()),
        losses=tuple(about["loss"].astype(float).tolist()),
        outcomes=values.to_numpy(float),
        kl=tuple(means.reindex(pd.MultiIndex.from_frame(keys[["id", "scale"]])).tolist()),
    )


def _made(done: pd.DataFrame) -> pd.DataFrame:
    return (
        done.astype({"loss": float, "norm": float, "steps": float})
        .groupby(["method", "example", "layer"], sort=True)
        .agg(
            vectors=("id", "size"),
            loss=("loss", "mean"),
            norm=("norm", "mean"),
            updates=("steps", "mean"),
            seconds=("seconds", "mean"),
        )
        .round(3)
        .reset_index()
    )
