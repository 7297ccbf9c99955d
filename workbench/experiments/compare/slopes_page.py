"""The page of CAA's slopes, and the run that writes it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import cache
from pathlib import Path

import pandas as pd

from workbench.experiments.compare.slopes import Slopes, SlopeSettings, slopes
from workbench.experiments.compare.task import caa_task
from workbench.experiments.identity import contents
from workbench.figures import Report, draw_slopes
from workbench.models import load_model
from workbench.models.identity import record_of
from workbench.runs import RunFolder
from workbench.testbeds import load_public_set


def run_slopes(
    questions: Mapping[str, str],
    settings: SlopeSettings | None = None,
    *,
    out: str | Path | None = None,
    model: str = "smollm2-135m-instruct",
    dtype: str = "float32",
    progress: bool = True,
) -> Path:
    """Measure CAA on files of A/B questions by name; gives the page.

    Behaviours that are finished in `out` (`out/slopes`) are not measured again, and more may be
    added. Raises ValueError without questions, and for a folder with a run of other settings, or
    with other questions under the same name.
    """
    if not questions:
        raise ValueError("there are no questions: give NAME=PATH of a file of A/B questions")
    settings = settings or SlopeSettings()
    loaded = load_model(model, dtype)
    shown = record_of(loaded)
    record = {"model": asdict(shown), "settings": asdict(settings)}
    sets = {name: load_public_set("caa", path) for name, path in questions.items()}
    with RunFolder(Path(out or Path("out") / "slopes"), record) as folder:
        for name, asked in sets.items():
            _check_same(folder, name, asked)
        found = []
        for name, asked in sets.items():

            def measured(name: str = name, asked: pd.DataFrame = asked) -> Slopes:
                task = caa_task(loaded, asked, name, test=settings.measured_on, seed=settings.seed)
                return slopes(task, settings, progress)

            found.append(_kept(folder, name, cache(measured)))
        page = slopes_page(found, settings, f"{shown.name}, {dtype}")
        return page.save(folder.path / "report.html")


def slopes_page(found: list[Slopes], settings: SlopeSettings, model: str) -> Report:
    """The page itself, not yet written."""
    summary = pd.concat([each.summary() for each in found], ignore_index=True)
    matching = pd.concat([each.matching() for each in found], ignore_index=True)
    rising = summary[summary["low"] > 0].groupby("scored").size()
    counted = " and ".join(
        f"{rising.get(way, 0)} of {len(found)} by {words}"
        for way, words in (("letter", "letter"), ("text", "the answer's text"))
    )
    report = Report(
        "CAA: how answers move with the scale",
        model,
        lead=(
            "One vector a behaviour from training questions, its layer and norm chosen on others; "
            "then added at scales "
            f"{', '.join(f'{scale:g}' for scale in settings.scales)} on held-out questions. "
            f"The slope is positive with an interval that excludes 0 in {counted}; it is larger "
            f"than that of all {settings.random} random vectors of the same norm and place, which "
            f"were not chosen, in {int(summary['beyond'].sum())} of {len(summary)}."
        ),
    )
    report.section("Slopes")
    report.figure(
        draw_slopes(summary),
        f"Beside {settings.random} random vectors of the same norm, layer and positions.",
    )
    report.table(
        summary.round(3),
        "Slope of log P(matching) - log P(not matching) for one unit of scale: of letters in nats, "
        "of texts in nats a token, with 95% intervals over items. Share: the norm as a share of "
        "the stream's mean norm. Beyond: more than all random vectors. An interval over items says "
        "how alike they move, not that only this direction moves them so: hence the random ones.",
    )
    report.section("The likelier answer")
    report.table(
        matching.round(3),
        "How often the matching answer is the likelier one. Where letters stay near one half at "
        "every scale and the slope is flat, the model does not bind letters to answers.",
    )
    report.section("How layer and norm were chosen")
    for each in found:
        report.table(each.tried.round(4), f"{each.name}: slopes on validation, by text.")
    report.details("Settings", asdict(settings))
    return report


def _check_same(folder: RunFolder, name: str, asked: pd.DataFrame) -> None:
    """Keep what a behaviour's questions are; raise ValueError where they were others."""
    found = contents(asked)
    kept = folder.table(f"{name}, questions", lambda: pd.DataFrame([found]))
    if kept.to_dict("records") != [found]:
        raise ValueError(
            f"{folder.path} holds {name} of other questions: choose another folder or another name"
        )


def _kept(folder: RunFolder, name: str, measured: Callable[[], Slopes]) -> Slopes:
    tried = folder.table(f"{name}, tried", lambda: measured().tried)
    return Slopes(name, tried, folder.table(f"{name}, scores", lambda: measured().scores))
