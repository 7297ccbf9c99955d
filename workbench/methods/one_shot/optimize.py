"""Gradient descent on a single example: one vector, or many at once.

A pack of jobs runs as one batch: every completion of every example of every job is a row. Each
step is one forward and one backward pass; rows do not feel each other, so the gradient of the
summed objectives is every job's own. Jobs that are done leave the batch.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from tqdm.auto import tqdm

from workbench.methods.one_shot.descent import Descent
from workbench.methods.one_shot.example import Example
from workbench.methods.one_shot.job import OneShotJob
from workbench.methods.one_shot.pack import Pack
from workbench.methods.one_shot.result import OneShotRun
from workbench.models.hooked import HookedModel, device_of, undisturbed

ROWS_IN_A_PACK = 16
Callback = Callable[[Descent], "bool | None"]


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

    `settings` are those of `OneShotJob`: steps, learning_rate, coldness, start, start_norm,
    max_norm, target_loss and patience, satisfice, intervention, positions, keep, seed. `callback`
    sees the descent after each loss and stops it by returning True. Ctrl-C returns the best
    vector so far. The model is left as it was found.

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
) -> list[OneShotRun]:
    """Many vectors at once; jobs may differ in everything. Results come in the jobs' order.

    Ctrl-C returns what has been begun, each run with its best vector so far.
    """
    descents = [Descent(job, job.first_vector(model).to(device_of(model))) for job in jobs]
    bar = tqdm(
        total=sum(job.steps for job in jobs), desc="optimizing", unit="step", disable=not progress
    )
    begun: list[Descent] = []
    try:
        with bar, undisturbed(model), torch.inference_mode(False), torch.enable_grad():
            for pack in _packs(descents):
                begun += pack
                _descend(model, pack, bar, callback)
    except KeyboardInterrupt:
        if not any(descent.history for descent in begun):
            raise
        warnings.warn("interrupted: returning the best vectors so far", stacklevel=2)
    return [descent.finish(model) for descent in begun if descent.history]


def _packs(descents: Sequence[Descent]) -> Iterator[list[Descent]]:
    """Jobs in their order, as many together as make up `ROWS_IN_A_PACK` rows."""
    pack: list[Descent] = []
    for descent in descents:
        if pack and sum(map(_rows, [*pack, descent])) > ROWS_IN_A_PACK:
            yield pack
            pack = []
        pack.append(descent)
    if pack:
        yield pack


def _rows(descent: Descent) -> int:
    return sum(len(example.completions) for example in descent.job.examples)


def _descend(
    model: HookedModel, descents: Sequence[Descent], bar: tqdm, callback: Callback | None
) -> None:
    """Run a pack to its end."""
    active, pack = list(descents), None
    while active:
        if pack is None:
            pack = Pack.of(model, [descent.job for descent in active])
        vectors = torch.stack([descent.values for descent in active])
        by_job = pack.losses(model, vectors).split([_rows(descent) for descent in active])
        objectives = [
            descent.objective(losses) for descent, losses in zip(active, by_job, strict=True)
        ]
        (gradients,) = torch.autograd.grad(torch.stack(objectives).sum(), vectors)
        for descent, losses, objective in zip(active, by_job, objectives, strict=True):
            descent.observe(losses, objective)
            if descent.stopped is None and callback is not None and callback(descent):
                descent.stopped = "callback"
        for descent, gradient in zip(active, gradients, strict=True):
            if descent.stopped is None:
                descent.update(gradient)
                bar.update()
        bar.set_postfix_str(_progress(active))
        left = [descent for descent in active if descent.stopped is None]
        if len(left) < len(active):
            for descent in active:
                if descent.stopped is not None:
                    bar.update(descent.job.steps - len(descent.history) + 1)
            active, pack = left, None


def _progress(active: Sequence[Descent]) -> str:
    losses = [descent.history[-1].loss for descent in active if descent.history]
    shown = f"loss {sum(losses) / len(losses):.3f} nats"
    return shown if len(losses) == 1 else f"{len(losses)} vectors, mean {shown}"
