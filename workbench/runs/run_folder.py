"""The folder of a program of named steps (folder.py): an experiment, a comparison, a sweep.

Every step is a job: its id follows from the program's settings, its kind and its name, and it is
done once. A step of kind `table` is kept as `tables/NAME.jsonl`, one of kind `vectors` as the files
of `vectors/NAME/`.
"""

from __future__ import annotations

import io
import json
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import pandas as pd
import tomli_w

from workbench.files import make_folder, sync_folder, write_text
from workbench.runs.folder import SETTINGS, JobFolder, Record, declared_in, sha256_of
from workbench.runs.job import canonical, digest, listed
from workbench.runs.sessions import here, now, session
from workbench.runs.tables import steps_frame, write_tables
from workbench.steering.vector import SteeringVector
from workbench.steering.vector_set import VectorSet

# Raised when the same settings and steps come to mean something else.
VERSION = 1
TABLE, VECTORS = "table", "vectors"


class RunFolder(JobFolder):
    """The folder at `path`, for a program with these `settings` (plain data; None is left out).

    It is locked while it is written to, and what is finished there is not done again:

        with RunFolder("out/mine", {"layer": 10}) as folder:
            vectors = folder.vectors("made", make)
            rates = folder.table("rates", lambda: measure(vectors))

    Entering raises ValueError where another process is at work, and where the folder holds a run
    with other settings, or a study. What was damaged is warned of and done again; steps that were
    made from it are kept. Raises ValueError for settings that are no plain data.
    """

    def __init__(self, path: str | Path, settings: Mapping[str, Any]) -> None:
        super().__init__(path)
        canonical(settings)  # plain data only
        self.settings = listed(settings)
        self._finished: dict[str, Record] | None = None
        self._held: AbstractContextManager[None] | None = None

    @classmethod
    def at(cls, path: str | Path) -> RunFolder:
        """The folder at `path`, for reading.

        Raises FileNotFoundError where no program was ever run in it.
        """
        declared = declared_in(path)
        if declared is None or SETTINGS not in declared:
            raise FileNotFoundError(
                f"{path} is no program's folder: its study.toml has no settings"
            )
        return cls(path, declared[SETTINGS])

    def __enter__(self) -> RunFolder:
        held = self._opened()
        held.__enter__()
        self._held = held
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._held is not None:
            self._held.__exit__(kind, error, trace)

    @contextmanager
    def _opened(self) -> Iterator[None]:
        declaration = tomli_w.dumps({SETTINGS: self.settings})
        with self._writing(declaration, session("this process"), self._check) as finished:
            self._finished = finished
            try:
                yield
                write_tables(self)
            finally:
                self._finished = None

    def table(self, name: str, make: Callable[[], pd.DataFrame]) -> pd.DataFrame:
        """The table of a step: read if it is there, else made and kept.

        What is made and what is read are alike: columns of texts, numbers and truth values, None
        where there is none; the index is left out.
        """

        def kept() -> list[Path]:
            lines = make().to_json(orient="records", lines=True, double_precision=15)
            return [write_text(self._table_path(name), lines)]

        self._once(TABLE, name, kept)
        return self._read_table(name)

    def vectors(self, name: str, make: Callable[[], Iterable[SteeringVector]]) -> VectorSet:
        """The vectors of a step: read if they are there, else made and kept.

        They are written to a folder beside, which then takes the name.
        """
        path = self._vectors_path(name)

        def kept() -> list[Path]:
            made = VectorSet(make())
            make_folder(path.parent)
            part = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent))
            try:
                files = [path / file.name for file in made.save(part)]
                part.chmod(0o755)
                shutil.rmtree(path, ignore_errors=True)  # of which no record vouches
                part.rename(path)
            finally:
                shutil.rmtree(part, ignore_errors=True)
            sync_folder(path.parent)
            return files

        self._once(VECTORS, name, kept)
        return VectorSet.load(path)

    def files_of(self, record: Mapping[str, Any]) -> Mapping[str, str]:
        """The files of a finished step, with their SHA-256."""
        return record.get("files", {})

    def frames(self) -> dict[str, pd.DataFrame]:
        """The table `steps`, and those of finished steps by the step's name."""
        return {"steps": steps_frame(self.records().values()), **self.tables()}

    def tables(self) -> dict[str, pd.DataFrame]:
        """The tables of finished steps, by the step's name."""
        return {each["step"]: self._read_table(each["step"]) for each in self._done(TABLE)}

    def vectors_of(self, step: str) -> VectorSet:
        """A finished step's vectors. Raises FileNotFoundError where there are none."""
        return VectorSet.load(self._vectors_path(step))

    def shown(self, step: str) -> pd.DataFrame:
        """A finished step's table, or a table of its vectors; `step` is its name or an id's start.

        Raises ValueError where there is no such step.
        """
        done = self._done()
        found = [each for each in done if each["step"] == step]
        found = found or [each for each in done if self._id(each).startswith(step)]
        if not found:
            known = ", ".join(dict.fromkeys(each["step"] for each in done)) or "none"
            raise ValueError(f"{self.path} has no finished step {step!r}; finished: {known}")
        about = min(found, key=lambda each: each["kind"])  # of the two kinds, the table
        if about["kind"] == TABLE:
            return self._read_table(about["step"])
        return self.vectors_of(about["step"]).to_frame()

    def status(self) -> RunStatus:
        """How far the program is, also while it runs."""
        last = (self.sessions() or [{}])[-1]
        frame = steps_frame(self.records().values())
        return RunStatus(self.path.resolve().name, frame, self.running(), "ended" in last)

    def _done(self, kind: str | None = None) -> list[dict[str, str]]:
        """Step and kind of every finished step, of one kind or of both."""
        done = [each["job"] for each in self.records().values() if each["state"] == "done"]
        return [each for each in done if kind in (None, each["kind"])]

    def _once(self, kind: str, name: str, make: Callable[[], Sequence[Path]]) -> None:
        """Do a step unless it is finished, and record what came of it."""
        if self._finished is None:
            raise RuntimeError(
                f"{self.path} is not open for writing: `with RunFolder(path, settings) as folder:`"
            )
        about = {"step": name, "kind": kind}
        job_id = self._id(about)
        if job_id in self._finished:
            return
        begun = time.perf_counter()

        def run() -> dict[str, Any]:
            seconds = round(time.perf_counter() - begun, 3)
            return {"seconds": seconds, "worker": here(), "finished": now()}

        record: Record = {"id": job_id, "state": "done", "job": about}
        try:
            paths = make()
        except Exception as error:
            words = f"{type(error).__name__}: {error}"
            with suppress(OSError):  # the disk may be what failed
                self._append([{**record, "state": "failed", "error": words, "run": run()}])
            raise
        files = {path.relative_to(self.path).as_posix(): sha256_of(path) for path in paths}
        record |= {"files": files, "run": run()}
        self._append([record])
        self._finished[job_id] = record

    def _check(self, finished: Mapping[str, Record]) -> None:
        """Raise ValueError where the folder holds what was not made with these settings."""
        declared = declared_in(self.path)
        if declared is not None and SETTINGS not in declared:
            raise ValueError(f"{self.path} is the folder of a study: choose another one")
        found = None if declared is None else declared[SETTINGS]
        strange = any(job_id != self._id(each["job"]) for job_id, each in finished.items())
        if strange or (found is not None and digest(found) != digest(self.settings)):
            which = _differing(found or {}, self.settings)
            raise ValueError(
                f"{self.path} holds a run with other settings ({which}): choose another folder, or "
                "delete this one"
            )

    def _id(self, about: Mapping[str, Any]) -> str:
        return digest({"version": VERSION, SETTINGS: self.settings, "job": about})

    def _table_path(self, name: str) -> Path:
        return self.path / "tables" / f"{name}.jsonl"

    def _vectors_path(self, name: str) -> Path:
        return self.path / "vectors" / name

    def _read_table(self, name: str) -> pd.DataFrame:
        path = self._table_path(name)
        try:
            text = path.read_text(encoding="utf-8")
            return pd.DataFrame([json.loads(line) for line in io.StringIO(text) if line.strip()])
        except (ValueError, OSError) as error:  # after the run began, or without a run
            raise ValueError(f"{path} is damaged; run again to make it again: {error}") from error


@dataclass(frozen=True, eq=False)
class RunStatus:
    """How far a program is. `steps`: see `steps_frame`; `ended`: its last run came to its end."""

    name: str
    steps: pd.DataFrame
    running: bool
    ended: bool

    @property
    def errors(self) -> tuple[str, ...]:
        """Why steps failed at their last try, each reason once."""
        return tuple(dict.fromkeys(self.steps["error"].dropna()))

    def to_frame(self) -> pd.DataFrame:
        """One row a step."""
        return self.steps

    def sentence(self) -> str:
        """The same in words."""
        states = list(self.steps["state"])
        done, failed = states.count("done"), states.count("failed")
        words = f"{self.name}: {done} {'step is' if done == 1 else 'steps are'} done"
        if failed:
            words += f", {failed} failed"
        if self.running:
            return f"{words}; a process is at work on it."
        if self.ended:
            return f"{words}; it came to its end."
        return f"{words}; it did not come to its end (run it again to go on)."


def _differing(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    """The names of the settings that differ."""
    names = {
        name
        for name in {*found, *wanted}
        if (name in found) != (name in wanted)
        or digest(found.get(name)) != digest(wanted.get(name))
    }
    return ", ".join(sorted(names)) or "of which nothing is known"
