"""Where packs of jobs are done: in this process, in several, or on a Ray cluster (cluster.py).

An executor gives outcomes as packs are finished, in any order, each pack's once. Where a worker
dies, what it was doing is done again by another: as it was, then job by job, so that a job that
kills its workers takes no other with it.
"""

from __future__ import annotations

import concurrent.futures
import multiprocessing
import os
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field, replace
from multiprocessing.connection import wait as wait_for
from pathlib import Path
from typing import Protocol, runtime_checkable

from workbench.models.hooked import HookedModel
from workbench.models.identity import record_of
from workbench.runs.job import StudyJob
from workbench.runs.worker import Outcome, Setup, Worker, failed

Pack = tuple[StudyJob, ...]
MOST_DEATHS = 3


@runtime_checkable
class Executor(Protocol):
    """Does packs of jobs."""

    @property
    def name(self) -> str: ...
    def run(self, packs: Sequence[Pack], setup: Setup) -> Iterator[list[Outcome]]: ...


@dataclass
class Waiting:
    """Packs that are still to be done, with how many workers each has lost."""

    packs: deque[tuple[Pack, int]]

    @classmethod
    def of(cls, packs: Sequence[Pack]) -> Waiting:
        """All of them, none tried."""
        return cls(deque((pack, 0) for pack in packs))

    def take(self) -> tuple[Pack, int]:
        """The next pack, and how many workers have died on it."""
        return self.packs.popleft()

    def died(self, pack: Pack, deaths: int) -> list[Outcome]:
        """Put back what a worker died on; failures of jobs that are given up."""
        deaths += 1
        if len(pack) > 1:
            again = [pack] if deaths == 1 else [(job,) for job in pack]
        elif deaths < MOST_DEATHS:
            again = [pack]
        else:
            words = f"the worker died {deaths} times over this job: is memory short?"
            return [failed(job, words, "none") for job in pack]
        self.packs.extend((each, deaths if len(each) == len(pack) else 0) for each in again)
        return []

    def __bool__(self) -> bool:
        return bool(self.packs)


@dataclass(frozen=True)
class ThisProcess:
    """Packs one after the other, here; on `model` where one is given."""

    model: HookedModel | None = None
    threads: int | None = None
    name: str = field(default="this process", init=False)

    def run(self, packs: Sequence[Pack], setup: Setup) -> Iterator[list[Outcome]]:
        """Yield each pack's outcomes when it is done.

        Raises ValueError for a model in hand that is not the study's.
        """
        if self.model is not None:
            _check_same(self.model, setup)
        worker = Worker(replace(setup, threads=self.threads), self.model)
        for pack in packs:
            yield worker.run(pack)


def _check_same(model: HookedModel, setup: Setup) -> None:
    """Raise ValueError unless the model has the declared name and dtype."""
    here, name = record_of(model), setup.model["name"]
    wanted = {
        "name": Path(name).name if Path(name).is_dir() else name,
        "dtype": setup.model["dtype"],
    }
    for field_name, asked in wanted.items():
        found = getattr(here, field_name)
        if found != asked:
            raise ValueError(
                f"the study declares a model of {field_name} {asked!r}, the one given has {found!r}"
            )


@dataclass(frozen=True)
class Processes:
    """`workers` processes of this machine, each with its own model and `threads` threads.

    By default the machine's cores are shared out among them.
    """

    workers: int = 2
    threads: int | None = None
    name: str = field(default="processes", init=False)

    def __post_init__(self) -> None:
        if self.workers < 1 or (self.threads is not None and self.threads < 1):
            raise ValueError(
                f"workers and threads must be 1 or more: {self.workers}, {self.threads}"
            )

    def run(self, packs: Sequence[Pack], setup: Setup) -> Iterator[list[Outcome]]:
        """Yield each pack's outcomes when it is done; a new pool takes a broken one's place.

        Raises RuntimeError where workers do nothing but die.
        """
        waiting = Waiting.of(packs)
        count = min(self.workers, len(packs))
        threads = self.threads or max(1, (os.cpu_count() or 1) // max(count, 1))
        fruitless = 0
        while waiting:
            if fruitless > 2 * MOST_DEATHS:
                raise RuntimeError(
                    f"worker processes died {fruitless} times in a row before any was done with "
                    "its jobs: is memory short for so many? What is finished is kept"
                )
            fruitless += 1
            # Spawned, not forked: a fork of a process with threads may hang.
            pool = ProcessPoolExecutor(
                count,
                mp_context=multiprocessing.get_context("spawn"),
                initializer=_start,
                initargs=(replace(setup, threads=threads),),
            )
            try:
                for outcomes in _until_broken(pool, count, waiting):
                    fruitless = 0
                    yield outcomes
            finally:
                pool.shutdown(wait=True, cancel_futures=True)


def _until_broken(
    pool: concurrent.futures.Executor, count: int, waiting: Waiting
) -> Iterator[list[Outcome]]:
    """Give the pool as many packs as it has workers, until none is left or a worker dies."""
    at_work: dict[Future[list[Outcome]], tuple[Pack, int]] = {}
    broken = False
    while at_work or (waiting and not broken):
        while waiting and not broken and len(at_work) < count:
            pack, deaths = waiting.take()
            try:
                at_work[pool.submit(_run, pack)] = pack, deaths
            except BrokenProcessPool:  # a worker died between two packs: not over this one
                waiting.packs.appendleft((pack, deaths))
                broken = True
        for done in wait(at_work, return_when=FIRST_COMPLETED).done:
            pack, deaths = at_work.pop(done)
            try:
                outcomes = done.result()
            except BrokenProcessPool:
                broken = True
                outcomes = waiting.died(pack, deaths)
            if outcomes:
                yield outcomes


_SETUP: list[Setup] = []
_WORKER: list[Worker] = []


def _start(setup: Setup) -> None:
    """Begin a worker process: it ends with the one that started it, however that ends."""
    _SETUP[:] = [setup]
    parent = multiprocessing.parent_process()
    if parent is not None:
        sentinel = parent.sentinel
        threading.Thread(target=lambda: (wait_for([sentinel]), os._exit(1)), daemon=True).start()


def _run(pack: Pack) -> list[Outcome]:
    """Do a pack in a worker process. The model is loaded for the first: errors then have words."""
    if not _WORKER:
        _WORKER.append(Worker(_SETUP[0]))
    return _WORKER[0].run(pack)
