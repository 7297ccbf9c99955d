"""The page of a program's folder: its steps, what each found, and how it was run.

An experiment, a comparison or a sweep writes a page of its own at its end; this one needs no model,
and shows what is there before that.
"""

from __future__ import annotations

import pandas as pd

from workbench.figures import Report
from workbench.runs import RunFolder
from workbench.runs.folder import JobFolder
from workbench.runs.run_folder import VECTORS

MOST_ROWS = 40


def run_report(folder: RunFolder) -> Report:
    """The page of what is done so far, not yet written."""
    found = folder.status()
    report = Report(f"Run: {found.name}", found.sentence())
    report.section("Its steps")
    report.table(found.to_frame().drop(columns=["error"]), "Steps that were tried, in their order.")
    for error in found.errors:
        report.text(f"Failed: {error}")
    for name, frame in folder.tables().items():
        report.section(name)
        rows = f"{len(frame)} rows" if len(frame) != 1 else "1 row"
        shown = f", of which the first {MOST_ROWS}" if len(frame) > MOST_ROWS else ""
        report.table(frame.head(MOST_ROWS).round(4), f"{rows}{shown}.")
    steps = found.to_frame()
    made = steps[(steps["kind"] == VECTORS) & (steps["state"] == "done")]
    for name in made["step"]:
        report.section(f"{name}: vectors")
        vectors = folder.vectors_of(name).to_frame()
        report.table(vectors.head(MOST_ROWS).round(4), f"{len(vectors)} of them.")
    report.section("How it was run")
    report.table(sessions_frame(folder), "Every time that it was run.")
    report.details("Settings", folder.settings)
    return report


def sessions_frame(folder: JobFolder) -> pd.DataFrame:
    """One row a time that a folder was run."""
    names = ("started", "ended", "host", "executor", "cores", "threads")
    return pd.DataFrame(
        {
            **{name: session.get(name) for name in names},
            "GPUs": ", ".join(session.get("gpus", [])) or "none",
            "torch": session.get("versions", {}).get("torch"),
            "transformer-lens": session.get("versions", {}).get("transformer-lens"),
        }
        for session in folder.sessions()
    )
