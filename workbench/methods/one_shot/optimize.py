"""Gradient descent on a single example: one vector, or many at once.

Jobs are run in packs, by layer, as many as fill one pass of the engine. Each step of a pack is one
forward and one backward pass over the later blocks, which each job joins at its own first layer.
Jobs that are done leave.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any

import torch
from tqdm.auto import tqdm

from workbench.methods.one_shot.descent import Callback, Descent
from workbench.methods.one_shot.engine import Engine
from workbench.methods.one_shot.example import Example
from workbench.methods.one_shot.job import OneShotJob
from workbench.methods.one_shot.objective import Objective
from workbench.methods.one_shot.parameters import first_parts
from workbench.methods.one_shot.request import Answer, Asking, Request
from workbench.methods.one_shot.result import OneShotRun, result_of
from workbench.models.hooked import HookedModel, device_of, n_layers, undisturbed


def optimize(
    model: HookedModel,
    examples: Example | Sequence[Example],
    layer: int | Sequence[int],
    *,
    progress: bool = True,
    callback: Callback | None = None,
    **settings: Any,
) -> OneShotRun:
    """A steering vector by gradient descent on one example, or several (paper, section 2).

    `settings` are those of `OneShotJob`. `callback` sees the descent after each loss and stops it
    by returning True. Ctrl-C returns the best vector so far. The model is left as it was found.

    Raises ValueError for bad examples, settings, starts and texts; IndexError for a layer that
    the model does not have.
    """
    job = OneShotJob([examples] if isinstance(examples, Example) else examples, layer, **settings)
    return optimize_batch(model, [job], progress=progress, callback=callback)[0]


def optimize_batch(
    model: HookedModel,
    jobs: Sequence[OneShotJob],
    *,
    progress: bool = True,
    callback: Callback | None = None,
    token_budget: int | None = None,
) -> list[OneShotRun]:
    """Many vectors at once; jobs may differ in everything. Results come in the jobs' order.

    `token_budget` is how many tokens one pass may hold; by default it follows from the free
    memory. Each vector's provenance records it: with the same jobs and budget the packing, and
    so every bit, is the same. Ctrl-C returns what has been begun, each run with its best vector
    so far.
    """
    jobs = list(jobs)
    if not jobs:
        return []
    starts = [
        first_parts(
            model,
            job.shape,
            None if isinstance(job.start, str) else job.start,
            job.start_norm,
            job.seed,
        )
        for job in jobs
    ]
    descents: list[Descent] = []
    total = sum(job.steps + (job.constraint.steps if job.constraint else 0) for job in jobs)
    bar = tqdm(total=total, desc="optimizing", unit="step", disable=not progress)
    try:
        with bar, undisturbed(model), torch.inference_mode(False), torch.enable_grad():
            engine = Engine.of(model, jobs, token_budget)
            budget = engine.budget
            descents = [
                Descent(
                    job,
                    engine.texts[i],
                    Objective(job, n_layers(model)),
                    starts[i].to(device_of(model)),
                    engine.stream_norm(i),
                    callback,
                )
                for i, job in enumerate(jobs)
            ]
            for pack in _packs(engine, budget):
                _descend(engine, {number: descents[number] for number in pack}, bar)
            bar.total = bar.n  # those that stopped early have no more to do
            bar.refresh()
    except KeyboardInterrupt:
        if not any(descent.history for descent in descents):
            raise
        warnings.warn("interrupted: returning the best vectors so far", stacklevel=2)
    return [result_of(model, each, budget) for each in descents if each.history]


def _packs(engine: Engine, budget: int) -> Iterator[list[int]]:
    """Jobs by first layer, then in their order, as many together as one pass holds."""
    pack: list[int] = []
    for number in sorted(range(len(engine.jobs)), key=lambda at: min(engine.jobs[at].layers)):
        if pack and sum(engine.texts[i].tokens for i in [*pack, number]) > budget:
            yield pack
            pack = []
        pack.append(number)
    yield pack


def _descend(engine: Engine, descents: dict[int, Descent], bar: tqdm) -> None:
    """Run a pack to its end."""
    programs: dict[int, Asking[None]] = {i: each.program() for i, each in descents.items()}
    waiting: dict[int, list[Request]] = {i: next(program) for i, program in programs.items()}
    while waiting:
        before = _steps(descents.values())
        asked = [(number, request) for number, some in waiting.items() for request in some]
        answers = iter(engine.answer(asked))
        answered: dict[int, list[Answer]] = {
            number: [next(answers) for _ in some] for number, some in waiting.items()
        }
        waiting = {}
        for number, some in answered.items():
            with suppress(StopIteration):
                waiting[number] = programs[number].send(some)
        bar.update(_steps(descents.values()) - before)
        bar.set_postfix_str(_progress([descents[number] for number in waiting]))


def _steps(descents: Iterable[Descent]) -> int:
    """How many steps were taken."""
    return sum(max(len(each.history) - 1, 0) for each in descents)


def _progress(active: Sequence[Descent]) -> str:
    losses = [descent.history[-1].loss for descent in active if descent.history]
    if not losses:
        return ""
    shown = f"loss {sum(losses) / len(losses):.3f} nats"
    return shown if len(losses) == 1 else f"{len(losses)} vectors, mean {shown}"
