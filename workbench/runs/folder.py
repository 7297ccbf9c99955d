"""A folder of jobs: what is finished stays finished, whatever happens.

    study.toml        the declaration: a study's whole, or a program's settings
    jobs.jsonl        a record a job (records.py); the truth, from which tables can be made again
    vectors/          the vectors that were made
    tables/*.parquet  what was found, as frames (tables.py)
    environment.json  every time that it was run: when, where, by which versions
    report.html       when it is asked for, or at the end

Two kinds of run stand on it: declared grids (study_folder.py), and programs of named steps
(run_folder.py). A job's files are on the disk before its record is, which has their hashes. One
process writes, under a lock that dies with it; any number may read meanwhile.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
from filelock import FileLock, Timeout

from workbench.files import make_folder, write_text, written_whole
from workbench.runs.records import Records, append_records, lines_of, read_records
from workbench.runs.sessions import now

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_WAIT_SECONDS = 2.0  # longer than `running` ever holds the lock to look
_SHOWN = 5
SETTINGS = "settings"  # the table that a program's declaration has, and a study's has not
Record = dict[str, Any]


class JobFolder(ABC):
    """What both kinds of folder share; made for reading, also while a process writes to it."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.path)!r})"

    @property
    def declaration(self) -> Path:
        """Where what is run stands as it was declared."""
        return self.path / "study.toml"

    @property
    def log(self) -> Path:
        """Where the records are."""
        return self.path / "jobs.jsonl"

    def records(self) -> dict[str, Record]:
        """By job's id: the record that finished it, else its last failure, of whole lines."""
        found: dict[str, Record] = {}
        for record in read_records(self.log).held:
            if found.get(record["id"], {}).get("state") != "done":
                found[record["id"]] = record
        return found

    def record(self, begins: str) -> Record:
        """The record of the one job whose id begins so. Raises ValueError for none or several."""
        found = [record for job_id, record in self.records().items() if job_id.startswith(begins)]
        if len(found) != 1:
            raise ValueError(f"{len(found)} jobs of {self.path} have an id that begins {begins!r}")
        return found[0]

    @abstractmethod
    def files_of(self, record: Mapping[str, Any]) -> Mapping[str, str]:
        """The files of a finished job: by path within the folder, their SHA-256."""

    @abstractmethod
    def frames(self) -> dict[str, pd.DataFrame]:
        """What was found, as tables by name."""

    def sessions(self) -> list[dict[str, Any]]:
        """Every time that it was run, as environment.json has it."""
        try:
            return json.loads((self.path / "environment.json").read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return []

    def running(self) -> bool:
        """Whether a process is at work on it now."""
        try:
            with FileLock(self._lock_path).acquire(timeout=0):
                return False
        except Timeout:
            return True

    @contextmanager
    def _writing(
        self,
        declaration: str,
        session: Mapping[str, Any],
        check: Callable[[dict[str, Record]], None],
    ) -> Iterator[dict[str, Record]]:
        """Lock the folder, mend what a crash left, declare; give the finished jobs' records.

        `check` sees them before anything is changed, and raises ValueError for what does not belong
        here. So does this where another process is at work.
        """
        make_folder(self.path)
        lock = FileLock(self._lock_path)
        try:
            lock.acquire(timeout=_WAIT_SECONDS)
        except Timeout as error:
            last = (self.sessions() or [{}])[-1]
            raise ValueError(
                f"another process is running in {self.path} "
                f"({last.get('host', 'unknown host')}, process {last.get('process', 'unknown')}): "
                "wait until it is done, or choose another folder"
            ) from error
        try:
            read = read_records(self.log)
            check({each["id"]: each for each in read.held if each["state"] == "done"})
            finished = self._mended(read)
            write_text(self.declaration, declaration)
            sessions = [*self.sessions(), dict(session)]
            self._write_sessions(sessions)
            yield finished
            self._write_sessions([*sessions[:-1], {**sessions[-1], "ended": now()}])
        finally:
            lock.release()

    def _append(self, records: Iterable[Mapping[str, Any]]) -> None:
        append_records(self.log, records)

    def _mended(self, read: Records) -> dict[str, Record]:
        """The finished jobs' records, after a torn end and all that is damaged were taken out.

        Damaged lines, and records of which a file is missing or is not what was made, go to
        jobs.damaged: their jobs are done again.
        """
        for leftover in self.path.glob("*/.*.part"):  # the lock is ours
            shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()
        kept, lost = [], [each.content + b"\n" for each in read.damaged]
        names = [f"line {each.line}" for each in read.damaged]
        for record in read.held:
            harmed = [] if record["state"] != "done" else self._harmed(record)
            if harmed:
                lost.append(lines_of([record]))
                names += harmed
            else:
                kept.append(record)
        if lost:
            with (self.path / "jobs.damaged").open("ab") as file:
                file.write(b"".join(lost))
                file.flush()
                os.fsync(file.fileno())
            with written_whole(self.log) as part:
                part.write_bytes(lines_of(kept))
            more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
            warnings.warn(
                f"{self.log}: records that were damaged, or whose files were: {len(lost)} "
                f"({', '.join(names[:_SHOWN])}{more}). They are in jobs.damaged now, and their "
                "jobs are done again",
                stacklevel=5,
            )
        elif read.torn:
            os.truncate(self.log, self.log.stat().st_size - read.torn)
        return {record["id"]: record for record in kept if record["state"] == "done"}

    def _harmed(self, record: Record) -> list[str]:
        """The names of a job's files that are missing, or are not what was made."""
        return [
            name
            for name, sha256 in self.files_of(record).items()
            if not (self.path / name).is_file() or sha256_of(self.path / name) != sha256
        ]

    def _write_sessions(self, sessions: list[dict[str, Any]]) -> None:
        write_text(self.path / "environment.json", json.dumps(sessions, indent=2) + "\n")

    @property
    def _lock_path(self) -> str:
        return str(self.path / ".lock")


def sha256_of(path: Path) -> str:
    """The hash of a file's bytes."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def declared_in(path: str | Path) -> dict[str, Any] | None:
    """The declaration of a folder as plain data: a program's has `settings`, a study's has not.

    None where there is none, or it is damaged.
    """
    try:
        return tomllib.loads((Path(path) / "study.toml").read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
