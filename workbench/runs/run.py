"""Run a study, or go on with one: every job that is not finished is done once."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import overload

import pandas as pd
from tqdm.auto import tqdm

from workbench.runs.executors import Executor, ThisProcess
from workbench.runs.folder import SETTINGS, declared_in
from workbench.runs.run_folder import RunFolder, RunStatus
from workbench.runs.sessions import session
from workbench.runs.study import Study
from workbench.runs.study_folder import StudyFolder
from workbench.runs.tables import write_tables
from workbench.runs.worker import Setup

_TABLES_EVERY = 30.0  # seconds: they are written whole each time


@dataclass(frozen=True)
class StudyStatus:
    """How far a study is: jobs declared, finished, and failed at their last try, by method."""

    name: str
    jobs: dict[str, int]
    done: dict[str, int]
    failed: dict[str, int]
    running: bool
    seconds: float
    errors: tuple[str, ...]

    @property
    def left(self) -> int:
        """How many jobs are not finished."""
        return sum(self.jobs.values()) - sum(self.done.values())

    @property
    def complete(self) -> bool:
        """Whether every job is finished."""
        return self.left == 0

    def to_frame(self) -> pd.DataFrame:
        """One row a method: method, jobs, done, failed, left."""
        return pd.DataFrame(
            {
                "method": method,
                "jobs": count,
                "done": self.done.get(method, 0),
                "failed": self.failed.get(method, 0),
                "left": count - self.done.get(method, 0),
            }
            for method, count in self.jobs.items()
        )

    def sentence(self) -> str:
        """The same in words."""
        total, done, failed = (sum(each.values()) for each in (self.jobs, self.done, self.failed))
        words = f"{self.name}: {done} of {total} jobs are done"
        if failed:
            words += f", {failed} failed (run it again to try them again)"
        state = "a process is at work on it" if self.running else "no process is at work on it"
        return f"{words}; {state}." if self.left else f"{words}."


def folder_at(path: str | Path) -> StudyFolder | RunFolder:
    """The folder of a study or of a program, for reading.

    Raises FileNotFoundError where neither was ever run in it.
    """
    program = SETTINGS in (declared_in(path) or {})
    return RunFolder.at(path) if program else StudyFolder.at(path)


@overload
def status(folder: StudyFolder) -> StudyStatus: ...
@overload
def status(folder: RunFolder) -> RunStatus: ...
def status(folder: StudyFolder | RunFolder) -> StudyStatus | RunStatus:
    """How far what a folder holds is, also while it runs. `seconds`: of all finished jobs."""
    if isinstance(folder, RunFolder):
        return folder.status()
    study, records = folder.study(), folder.records()
    jobs = {job.id: job for job in study.jobs}
    found = [records[job_id] for job_id in jobs if job_id in records]
    by_state = {
        state: Counter(r["job"]["method"] for r in found if r["state"] == state)
        for state in ("done", "failed")
    }
    return StudyStatus(
        name=study.name,
        jobs=dict(Counter(job.method for job in jobs.values())),
        done=dict(by_state["done"]),
        failed=dict(by_state["failed"]),
        running=folder.running(),
        seconds=sum(r["run"].get("seconds", 0.0) for r in found),
        errors=tuple(dict.fromkeys(r["error"] for r in found if r["state"] == "failed")),
    )


def run_study(
    study: Study,
    path: str | Path,
    executor: Executor | None = None,
    *,
    progress: bool = True,
) -> StudyStatus:
    """Do what is not finished in the folder at `path`, by default in this process.

    A pack's jobs are kept together, when the pack is done. Failed jobs are tried again. Raises
    ValueError where the folder is another study's, or another process is at work on it.
    """
    executor = ThisProcess() if executor is None else executor
    folder = StudyFolder(Path(path))
    with folder.writing(study, session(executor.name)) as writer:
        packs = [
            tuple(job for job in pack if job.id not in writer.finished) for pack in study.packs()
        ]
        packs = [pack for pack in packs if pack]
        setup = Setup(
            model=study.jobs[0].model,
            chat=study.chat,
            loading=study.loading,
            token_budget=study.token_budget,
        )
        bar = tqdm(
            total=len(study.jobs),
            initial=len(writer.finished),
            desc=study.name,
            unit="job",
            disable=not progress,
        )
        written = time.monotonic()
        with bar:
            for outcomes in executor.run(packs, setup) if packs else ():
                bar.update(len(writer.keep(outcomes)))
                if time.monotonic() - written > _TABLES_EVERY:
                    write_tables(folder)
                    written = time.monotonic()
        write_tables(folder)
    return status(folder)
