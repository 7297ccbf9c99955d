"""Two thousand small jobs in one process: memory is flat, and nothing is left behind."""

from __future__ import annotations

import gc
import sys
from dataclasses import dataclass

import psutil
import pytest
import torch
from transformer_lens.hook_points import HookPoint

import workbench as wb
from tests.conftest import all_modules, all_parameters

JOBS, WARM = 2000, 400
ROUND = 40  # jobs, of every kind


THEIRS = ("transformers.", "transformer_lens.")  # whose hooks these are, and not ours


@dataclass(frozen=True)
class Held:
    """What the process holds at one moment."""

    memory: float
    hooks: int
    threads: int
    files: int
    tensors: int
    objects: int

    @classmethod
    def now(cls, model) -> Held:
        gc.collect()
        process = psutil.Process()
        modules = all_modules(model)
        kinds = [
            name
            for name, held in vars(modules[0]).items()
            if name.endswith("_hooks") and isinstance(held, dict)
        ]
        assert len(kinds) > 3, "PyTorch's own dicts of hooks"
        found = [
            hook
            for module in modules
            for kind in kinds
            for hook in getattr(module, kind).values()
            # A bridge's first forward wires its blocks for good, and so may transformers.
            if not getattr(hook, "__module__", "").startswith(
                ("transformers.", "transformer_lens.")
            )
        ]
        points = [module for module in modules if isinstance(module, HookPoint)]
        listed = [len(point.fwd_hooks) + len(point.bwd_hooks) for point in points]
        live = gc.get_objects()
        return cls(
            memory=process.memory_info().rss / 2**20,
            hooks=len(found) + sum(listed),
            threads=process.num_threads(),
            files=process.num_fds(),
            tensors=sum(issubclass(type(one), torch.Tensor) for one in live),
            objects=len(live),
        )


def a_round(model, start, folder):
    """`ROUND` jobs: single and packed, of every way of training, some interrupted by an error."""
    words = [f"w{(start + i) % 80}" for i in range(ROUND)]
    examples = [
        wb.Example(f"{word} w2 w3", promote=[f" {word} w5"], suppress=[" w7"]) for word in words
    ]
    ways = ("add", "clamp", "affine", "matrix")
    singles = ROUND // 2
    for i, example in enumerate(examples[:singles]):
        settings = {"optimizer": "lbfgs"} if i % 5 == 0 else {"learning_rate": 0.1}
        run = wb.optimize(
            model,
            [example],
            layer=1 + i % 2,
            steps=2,
            seed=start + i,
            intervention=ways[i % 4],
            progress=False,
            **settings,
        )
        assert len(run.losses) > 0
        if i == 0:
            kept = run.vector.save(folder / "v.safetensors")
            wb.generate(
                model,
                ["w1 w2", "w3"],
                wb.Add(wb.SteeringVector.load(kept)),
                max_new_tokens=2,
                progress=False,
            )
    for first in range(singles, ROUND, 10):
        jobs = [
            wb.OneShotJob([example], 1 + i % 2, steps=2, learning_rate=0.1, seed=start + i)
            for i, example in enumerate(examples[first : first + 10])
        ]
        assert len(wb.optimize_batch(model, jobs, progress=False)) == 10

    def stop(descent):
        raise KeyError("the caller's own error")

    with pytest.raises(KeyError):
        wb.optimize(
            model, [examples[0]], layer=1, steps=2, learning_rate=0.1, callback=stop, progress=False
        )


@pytest.mark.slow
def test_two_thousand_jobs_leave_nothing_behind(tiny, tmp_path, capsys):
    before = Held.now(tiny)
    flags = [parameter.requires_grad for parameter in all_parameters(tiny)]
    weights = [parameter.detach().clone() for parameter in all_parameters(tiny)]
    seen = {}
    for done in range(0, JOBS, ROUND):
        a_round(tiny, done, tmp_path)
        if (done + ROUND) % WARM == 0:
            seen[done + ROUND] = Held.now(tiny)
    warm, last = seen[WARM], seen[JOBS]
    with capsys.disabled():
        for count, held in {0: before, **seen}.items():
            sys.stdout.write(
                f"\nafter {count:4d} jobs: {held.memory:.1f} MiB, {held.hooks} hooks, "
                f"{held.threads} threads, {held.files} files, {held.tensors} tensors, "
                f"{held.objects} objects"
            )
        sys.stdout.write("\n")
    assert last.hooks == before.hooks
    assert last.threads == warm.threads
    assert last.files <= warm.files
    assert last.tensors <= warm.tensors + 4
    assert last.objects <= warm.objects * 1.02 + 500
    assert last.memory - warm.memory < 16, "MiB in the last 1,600 jobs"
    after = all_parameters(tiny)
    assert [parameter.requires_grad for parameter in after] == flags
    assert all(parameter.grad is None for parameter in after)
    assert all(torch.equal(a, b) for a, b in zip(after, weights, strict=True))
