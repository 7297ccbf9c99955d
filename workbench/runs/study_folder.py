"""The folder of a declared study (folder.py): a job a vector, `vectors/ID.safetensors`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd

from workbench.files import many_written, written_whole
from workbench.runs.folder import SETTINGS, JobFolder, Record, declared_in
from workbench.runs.study import Study, read_study
from workbench.runs.tables import jobs_frame, measures_frame
from workbench.runs.worker import Outcome
from workbench.steering.vector import SteeringVector


class StudyFolder(JobFolder):
    """A study's folder, for reading: also while it runs, without a lock."""

    @classmethod
    def at(cls, path: str | Path) -> StudyFolder:
        """The folder at `path`. Raises FileNotFoundError where no study was ever run in it."""
        folder = cls(path)
        if not folder.declaration.is_file():
            raise FileNotFoundError(f"{path} is no study's folder: it has no study.toml")
        if SETTINGS in (declared_in(path) or {}):
            raise FileNotFoundError(f"{path} is no study's folder: it is that of a program")
        return folder

    def study(self) -> Study:
        """The study as it was declared."""
        return read_study(self.declaration)

    def vector_path(self, job_id: str) -> Path:
        """The file of a job's vector."""
        return self.path / "vectors" / f"{job_id}.safetensors"

    def vector(self, job_id: str) -> SteeringVector:
        """A finished job's vector. Raises FileNotFoundError where there is none."""
        return SteeringVector.load(self.vector_path(job_id))

    def files_of(self, record: Mapping[str, Any]) -> Mapping[str, str]:
        """A finished job's vector, with its SHA-256."""
        name = self.vector_path(record["id"]).relative_to(self.path).as_posix()
        return {name: record["run"]["vector_sha256"]}

    def frames(self) -> dict[str, pd.DataFrame]:
        """The tables `jobs` and `measures`, as they are now."""
        records = list(self.records().values())
        return {"jobs": jobs_frame(records), "measures": measures_frame(records)}

    @contextmanager
    def writing(self, study: Study, session: Mapping[str, Any]) -> Iterator[StudyWriter]:
        """Lock the folder for this study, mend what a crash left, and give what writes to it.

        A study that has grown goes on where it was. Raises ValueError where another process is at
        work here, and where the folder has results that the study does not declare.
        """

        def check(finished: Mapping[str, Record]) -> None:
            if SETTINGS in (declared_in(self.path) or {}):
                raise ValueError(f"{self.path} is the folder of a program: choose another one")
            strange = finished.keys() - {job.id for job in study.jobs}
            if strange:
                raise ValueError(
                    f"{self.path} has {len(strange)} finished jobs that this study does not "
                    "declare (its settings have changed): choose another folder, or delete this one"
                )

        with self._writing(study.to_toml(), session, check) as finished:
            yield StudyWriter(self, set(finished))


class StudyWriter:
    """Writes to a locked folder. `finished` has the ids of the jobs that need not be done."""

    def __init__(self, folder: StudyFolder, finished: set[str]) -> None:
        self.folder = folder
        self.finished = finished

    def keep(self, outcomes: Iterable[Outcome]) -> list[Outcome]:
        """Keep outcomes: vectors first, then records. Those that were kept before are left out."""
        new = [each for each in outcomes if each.record["id"] not in self.finished]
        made = [each for each in new if each.vector is not None]
        with many_written():
            for each in made:
                with written_whole(self.folder.vector_path(each.record["id"])) as part:
                    part.write_bytes(each.vector or b"")
        self.folder._append(each.record for each in new)
        self.finished |= {each.record["id"] for each in made}
        return new
