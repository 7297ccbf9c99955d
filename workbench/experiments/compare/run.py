"""A comparison from names: load what the task needs, run it in a folder, write its page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import pandas as pd

from workbench.experiments.compare.arithmetic import arithmetic_task
from workbench.experiments.compare.feeling import feeling_task
from workbench.experiments.compare.made import FEW, OWN, SHARES
from workbench.experiments.compare.makers import METHODS
from workbench.experiments.compare.page import comparison_page
from workbench.experiments.compare.program import CompareSettings, compare
from workbench.experiments.compare.task import Task, caa_task, refusal_task
from workbench.experiments.identity import contents
from workbench.models import load_model
from workbench.models.identity import record_of
from workbench.runs import RunFolder
from workbench.testbeds import load_public_set, load_testbed

MADE_HERE = {"arithmetic": arithmetic_task, "feeling": feeling_task}


def run_compare(
    task: str,
    settings: CompareSettings,
    methods: Sequence[str] = (),
    *,
    out: str | Path | None = None,
    model: str = "smollm2-135m-instruct",
    dtype: str = "float32",
    adapter: str | Path | None = None,
    progress: bool = True,
) -> Path:
    """Compare methods on `refusal`, one of `MADE_HERE`, or questions in a file; gives the page.

    Those are named `NAME=PATH`. What is finished in `out` (`out/compare/NAME`) is not done again.
    Raises ValueError for an unknown task or method, and for a folder with a run of other settings.
    """
    name, _, path = task.partition("=")
    unknown = [each for each in methods if each not in METHODS]
    if unknown:
        raise ValueError(f"there is no method {unknown[0]!r}; known: {', '.join(METHODS)}")
    questions = load_public_set("caa", path) if path else None
    loaded = _task(name, questions, model, dtype, adapter, settings)
    shown = record_of(loaded.model)
    record = {
        "task": name,
        "asked": contents(loaded.texts()),
        "model": asdict(shown),
        "settings": asdict(settings),
        "strengths": {"most methods": SHARES, "ActAdd": FEW, "ACE, SEAL": OWN},
    }
    chosen = {each: METHODS[each] for each in methods or METHODS}
    with RunFolder(Path(out or Path("out") / "compare" / name), record) as folder:
        found = compare(loaded, settings, chosen, folder, progress)
        page = comparison_page(found, f"{shown.name}, {dtype}")
        page.details("What was asked", {key: record[key] for key in ("task", "asked", "model")})
        return page.save(folder.path / "report.html")


def _task(
    name: str,
    questions: pd.DataFrame | None,
    model: str,
    dtype: str,
    adapter: str | Path | None,
    settings: CompareSettings,
) -> Task:
    if questions is not None:
        return caa_task(
            load_model(model, dtype), questions, name, test=settings.measured_on, seed=settings.seed
        )
    if name == "refusal":
        return refusal_task(load_testbed(name, dtype, adapter=adapter))
    if name in MADE_HERE:
        return MADE_HERE[name](load_model(model, dtype), settings.seed)
    raise ValueError(
        f"there is no task {name!r}: refusal, {', '.join(MADE_HERE)}, or NAME=PATH of a file of "
        "A/B questions"
    )
