"""Do a pack of jobs: from jobs to records, on a model that is loaded once.

What a record says under `result` follows from the job alone, to the bit where the pack, the budget
and the machine are the same. Under `run` stands what differs from time to time.
"""

from __future__ import annotations

import hashlib
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch

from workbench.models import chat, load_model
from workbench.models.hooked import HookedModel
from workbench.runs.job import StudyJob, digest
from workbench.runs.makers import MAKERS
from workbench.runs.measures import Meter, acting
from workbench.runs.sessions import here, now
from workbench.steering.vector import SteeringVector

# What a job may fail with, for reasons of its own: then the others of its pack go on.
_FAILURES = (ValueError, IndexError, KeyError, TypeError, RuntimeError, ArithmeticError)


@dataclass(frozen=True)
class Outcome:
    """What came of a job: its record, and its vector as the bytes of a file (None: it failed)."""

    record: Mapping[str, Any]
    vector: bytes | None


@dataclass(frozen=True)
class Setup:
    """What a worker needs to know: the model, how it is loaded, the budget, and its threads."""

    model: Mapping[str, Any]
    chat: bool = True
    loading: Mapping[str, Any] = field(default_factory=dict)
    token_budget: int | None = None
    threads: int | None = None


class Worker:
    """Does packs of jobs on one model, loaded here unless one is given."""

    def __init__(self, setup: Setup, model: HookedModel | None = None) -> None:
        if setup.threads is not None:
            torch.set_num_threads(setup.threads)
        self.setup = setup
        self.model = load_model(**setup.model, **setup.loading) if model is None else model
        self.meter = Meter(self.model)
        self.chat = partial(chat, self.model) if setup.chat else str
        self.name = here()

    def run(self, jobs: Sequence[StudyJob]) -> list[Outcome]:
        """An outcome for each job; where one fails, each is tried alone."""
        begun = time.perf_counter()
        try:
            vectors = self._make(jobs)
        except _FAILURES as error:
            if len(jobs) > 1:
                return [outcome for job in jobs for outcome in self.run([job])]
            return [failed(jobs[0], error, self.name)]
        making = (time.perf_counter() - begun) / len(jobs)
        pack = digest([job.id for job in jobs])
        return [self._outcome(*pair, pack, making) for pair in zip(jobs, vectors, strict=True)]

    def _make(self, jobs: Sequence[StudyJob]) -> list[SteeringVector]:
        maker = MAKERS[jobs[0].maker]
        return maker.make(self.model, jobs, self.chat, self.setup.token_budget)

    def _outcome(self, job: StudyJob, vector: SteeringVector, pack: str, making: float) -> Outcome:
        begun = time.perf_counter()
        try:
            vector.check_model(self.model)
            measured = self._measure(job, vector)
        except _FAILURES as error:
            return failed(job, error, self.name)
        with tempfile.TemporaryDirectory() as folder:
            content = vector.save(Path(folder) / "vector.safetensors").read_bytes()
        results = dict(vector.provenance.results)
        budget = results.pop("token_budget", None)
        run = {
            "pack": pack,
            "token_budget": budget,
            "seconds": round(making + time.perf_counter() - begun, 3),
            "vector_sha256": hashlib.sha256(content).hexdigest(),
        }
        record = {
            **_about(job, "done"),
            "result": _json({"norm": vector.norm, **results, "measures": measured}),
            "run": {**run, **_when(self.name)},
        }
        return Outcome(record, content)

    def _measure(self, job: StudyJob, vector: SteeringVector) -> list[dict[str, Any]]:
        """A value a prompt for each measure and scale, with those of the unsteered model."""
        return [
            {
                "name": name,
                "measure": asked["measure"],
                "scale": scale,
                "values": self.meter.measure(
                    asked, job, [acting(vector, job.act, scale)], self.chat
                ),
                "unsteered": self.meter.unsteered(asked, job, self.chat),
            }
            for name, asked in (job.measures or {}).items()
            for scale in job.scales
        ]


def failed(job: StudyJob, error: BaseException | str, worker: str) -> Outcome:
    """The outcome of a job that could not be done, with the reason in words."""
    kind = "" if isinstance(error, (str, ValueError)) else f"{type(error).__name__}: "
    return Outcome({**_about(job, "failed"), "error": f"{kind}{error}", "run": _when(worker)}, None)


def _about(job: StudyJob, state: str) -> dict[str, Any]:
    names = {name: getattr(job, name) for name in ("method", "example", "layer", "seed")}
    return {"id": job.id, "state": state, "job": {**names, "maker": job.maker}}


def _when(worker: str) -> dict[str, Any]:
    return {"worker": worker, "finished": now()}


def _json(value: Any) -> Any:
    """The value with None for numbers that JSON does not know."""
    if isinstance(value, Mapping):
        return {name: _json(held) for name, held in value.items()}
    if isinstance(value, (list, tuple)):
        return [_json(held) for held in value]
    return None if isinstance(value, float) and value - value != 0 else value
