"""Do packs of jobs on a Ray cluster: many GPUs, many machines, one process that writes.

Each worker is an actor that loads the model once. An actor that dies is replaced, on whichever
machine has room; until the new one has its model, the others do its work. Every machine needs this
package with the extra `ray`, and the model under the same name.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from workbench.runs.executors import MOST_DEATHS, Pack, Waiting
from workbench.runs.worker import Outcome, Setup, Worker

_LOOK_SECONDS = 5.0


class _Actor:
    """What runs in Ray: a worker, and a way to ask whether it is there."""

    def __init__(self, setup: Setup) -> None:
        self.setup = setup

    def ready(self) -> str:
        """Load the model: not before, for here its errors have words."""
        self.worker = Worker(self.setup)
        return self.worker.name

    def run(self, pack: Pack) -> list[Outcome]:
        """Do a pack."""
        return self.worker.run(pack)


@dataclass(frozen=True)
class RayCluster:
    """`workers` actors on the cluster at `address`: "auto" finds one that this machine is part of.

    None starts one on this machine alone. Each worker has `threads` cores and `gpus` GPUs of its
    own (0.5: two share one). `patience`: how many seconds to wait while no worker at all is there.
    """

    workers: int = 2
    address: str | None = "auto"
    threads: int = 1
    gpus: float = 0.0
    patience: float = 600.0
    name: str = field(default="ray", init=False)

    def run(self, packs: Sequence[Pack], setup: Setup) -> Iterator[list[Outcome]]:
        """Yield each pack's outcomes when it is done.

        Raises ImportError without Ray, ConnectionError where there is no cluster, and RuntimeError
        where no worker comes up. A cluster that was there before is left running.
        """
        try:
            import ray
        except ImportError as error:
            raise ImportError(
                "this executor needs Ray: pip install 'steering-workbench[ray]'"
            ) from error
        ours = not ray.is_initialized()
        if ours:
            ray.init(address=self.address, log_to_driver=False, include_dashboard=False)
        crew = _Crew(self, replace(setup, threads=self.threads), min(self.workers, len(packs)))
        try:
            yield from crew.work(Waiting.of(packs))
        finally:
            crew.leave()
            if ours:
                ray.shutdown()


class _Crew:
    """The actors, and what each is doing: None while it loads its model, else a pack."""

    def __init__(self, cluster: RayCluster, setup: Setup, count: int) -> None:
        import ray

        self.ray = ray
        self.cluster = cluster
        self.setup = ray.put(setup)
        self.kind = ray.remote(
            num_cpus=cluster.threads, num_gpus=cluster.gpus, max_restarts=0, max_task_retries=0
        )(_Actor)
        self.doing: dict[Any, tuple[Any, tuple[Pack, int] | None]] = {}
        self.idle: list[Any] = []
        self.seen, self.lost = time.monotonic(), 0
        for _ in range(count):
            self._hire()

    def work(self, waiting: Waiting) -> Iterator[list[Outcome]]:
        """Give packs to whoever is free, until all are done."""
        from ray.exceptions import RayError, RayTaskError

        while waiting or any(task is not None for _, task in self.doing.values()):
            while waiting and self.idle:
                free, taken = self.idle.pop(), waiting.take()
                self.doing[free.run.remote(taken[0])] = free, taken
            done, _ = self.ray.wait(list(self.doing), num_returns=1, timeout=_LOOK_SECONDS)
            for ref in done:
                actor, task = self.doing.pop(ref)
                try:
                    outcomes = self.ray.get(ref)
                except RayTaskError as error:  # what was raised in a worker that lives
                    raise error.cause from error
                except RayError as error:  # it died, or its machine, or what it had to say is lost
                    self._dismiss(actor)
                    if task is None:
                        self._lost_while_loading(error)
                    self._hire()
                    outcomes = [] if task is None else waiting.died(*task)
                else:
                    self.idle.append(actor)
                if task is not None and outcomes:
                    yield outcomes
            self._check_patience()

    def leave(self) -> None:
        """Let all actors go."""
        for actor in [*self.idle, *(actor for actor, _ in self.doing.values())]:
            self._dismiss(actor)

    def _hire(self) -> None:
        actor = self.kind.remote(self.setup)
        self.doing[actor.ready.remote()] = actor, None

    def _dismiss(self, actor: Any) -> None:
        self.ray.kill(actor)

    def _lost_while_loading(self, error: Exception) -> None:
        """Raise RuntimeError where no worker ever lives to have its model."""
        self.lost += 1
        if self.lost >= MOST_DEATHS * self.cluster.workers:
            raise RuntimeError(
                f"{self.lost} workers died on the Ray cluster while they loaded the model: is "
                f"memory short? Ray says: {error}"
            ) from error

    def _check_patience(self) -> None:
        """Raise RuntimeError where nobody has been at work for too long."""
        if self.idle or any(task is not None for _, task in self.doing.values()):
            self.seen = time.monotonic()
        elif time.monotonic() - self.seen > self.cluster.patience:
            needs = f"{self.cluster.threads} cores and {self.cluster.gpus:g} GPUs"
            raise RuntimeError(
                f"no worker came up on the Ray cluster within {self.cluster.patience:g} s: does a "
                f"machine have {needs} free? What is finished is kept"
            )
