"""The folder of a study: what is finished stays finished, whatever happens.

    study.toml        the declaration, whole
    jobs.jsonl        a record a job (records.py); the truth, from which tables can be made again
    vectors/ID.safetensors
    tables/*.parquet  jobs and measures, as frames (tables.py)
    environment.json  every time the study was run: when, where, by which versions
    report.html       when it is asked for

A vector is on the disk before its record is. One process writes, under a lock that dies with it;
any number may read meanwhile.
"""

from __future__ import annotations

import hashlib
import json
import os
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from workbench.files import write_text, written_whole
from workbench.runs.records import append_records, lines_of, read_records, sync_folder
from workbench.runs.study import Study, read_study
from workbench.runs.worker import Outcome
from workbench.steering.vector import SteeringVector

_WAIT_SECONDS = 2.0  # longer than `running` ever holds the lock to look


@dataclass(frozen=True)
class StudyFolder:
    """A study's folder, for reading: also while it runs, without a lock."""

    path: Path

    @classmethod
    def at(cls, path: str | Path) -> StudyFolder:
        """The folder at `path`. Raises FileNotFoundError where no study was ever run in it."""
        folder = cls(Path(path))
        if not folder.declaration.is_file():
            raise FileNotFoundError(f"{path} is no study's folder: it has no study.toml")
        return folder

    @property
    def declaration(self) -> Path:
        """Where the study stands as it was declared."""
        return self.path / "study.toml"

    @property
    def log(self) -> Path:
        """Where the records are."""
        return self.path / "jobs.jsonl"

    def study(self) -> Study:
        """The study as it was declared."""
        return read_study(self.declaration)

    def records(self) -> dict[str, dict[str, Any]]:
        """By job's id: the record that finished it, else its last failure, of whole lines."""
        found: dict[str, dict[str, Any]] = {}
        for record in read_records(self.log).held:
            if found.get(record["id"], {}).get("state") != "done":
                found[record["id"]] = record
        return found

    def record(self, begins: str) -> dict[str, Any]:
        """The record of the one job whose id begins so. Raises ValueError for none or several."""
        found = [record for job_id, record in self.records().items() if job_id.startswith(begins)]
        if len(found) != 1:
            raise ValueError(f"{len(found)} jobs of {self.path} have an id that begins {begins!r}")
        return found[0]

    def vector_path(self, job_id: str) -> Path:
        """The file of a job's vector."""
        return self.path / "vectors" / f"{job_id}.safetensors"

    def vector(self, job_id: str) -> SteeringVector:
        """A finished job's vector. Raises FileNotFoundError where there is none."""
        return SteeringVector.load(self.vector_path(job_id))

    def sessions(self) -> list[dict[str, Any]]:
        """Every time that the study was run, as environment.json has it."""
        try:
            return json.loads((self.path / "environment.json").read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return []

    def running(self) -> bool:
        """Whether a process is at work on it now."""
        lock = FileLock(self._lock_path)
        try:
            with lock.acquire(timeout=0):
                return False
        except Timeout:
            return True

    @contextmanager
    def writing(self, study: Study, session: Mapping[str, Any]) -> Iterator[StudyWriter]:
        """Lock the folder for this study, mend what a crash left, and give what writes to it.

        A study that has grown goes on where it was. Raises ValueError where another process is at
        work here, and where the folder has results that the study does not declare.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self._lock_path)
        try:
            lock.acquire(timeout=_WAIT_SECONDS)
        except Timeout as error:
            last = (self.sessions() or [{}])[-1]
            raise ValueError(
                f"another process is running a study in {self.path} "
                f"({last.get('host', 'unknown host')}, process {last.get('process', 'unknown')}): "
                "wait until it is done, or choose another folder"
            ) from error
        try:
            writer = StudyWriter(self, study)
            write_text(self.declaration, study.to_toml())
            sessions = [*self.sessions(), dict(session)]
            write_text(self.path / "environment.json", json.dumps(sessions, indent=2) + "\n")
            sync_folder(self.path)
            yield writer
        finally:
            lock.release()

    @property
    def _lock_path(self) -> str:
        return str(self.path / ".lock")


class StudyWriter:
    """Writes to a locked folder. `finished` has the ids of the jobs that need not be done."""

    def __init__(self, folder: StudyFolder, study: Study) -> None:
        self.folder = folder
        self.declared = {job.id for job in study.jobs}
        self.finished = self._mended()
        strange = self.finished - self.declared
        if strange:
            raise ValueError(
                f"{folder.path} has {len(strange)} finished jobs that this study does not declare "
                "(its settings have changed): choose another folder, or delete this one"
            )

    def keep(self, outcomes: Iterable[Outcome]) -> list[Outcome]:
        """Keep outcomes: vectors first, then records. Those that were kept before are left out."""
        new = [each for each in outcomes if each.record["id"] not in self.finished]
        made = [each for each in new if each.vector is not None]
        for each in made:
            with written_whole(self.folder.vector_path(each.record["id"])) as part:
                part.write_bytes(each.vector or b"")
        if made:
            sync_folder(self.folder.path / "vectors")
        append_records(self.folder.log, [each.record for each in new])
        self.finished |= {each.record["id"] for each in made}
        return new

    def _mended(self) -> set[str]:
        """The ids of finished jobs, after a torn end and all that is damaged were taken out.

        Damaged lines, and records whose vector is missing or is not the one that was made, go to
        jobs.damaged: their jobs are done again.
        """
        folder, read = self.folder, read_records(self.folder.log)
        for leftover in (folder.path / "vectors").glob(".*.part"):  # the lock is ours
            leftover.unlink()
        kept, lost = [], [each.content + b"\n" for each in read.damaged]
        for record in read.held:
            whole = record["state"] != "done" or self._has_vector(record)
            if whole:
                kept.append(record)
            else:
                lost.append(lines_of([record]))
        if lost:
            with (folder.path / "jobs.damaged").open("ab") as file:
                file.write(b"".join(lost))
                file.flush()
                os.fsync(file.fileno())
            with written_whole(folder.log) as part:
                part.write_bytes(lines_of(kept))
            sync_folder(folder.path)
            warnings.warn(
                f"{folder.log}: records that were damaged, or whose vectors were: {len(lost)}. "
                "They are in jobs.damaged now, and their jobs are done again",
                stacklevel=4,
            )
        elif read.torn:
            os.truncate(folder.log, folder.log.stat().st_size - read.torn)
        return {record["id"] for record in kept if record["state"] == "done"}

    def _has_vector(self, record: Mapping[str, Any]) -> bool:
        path = self.folder.vector_path(record["id"])
        if not path.is_file():
            return False
        return hashlib.sha256(path.read_bytes()).hexdigest() == record["run"]["vector_sha256"]
