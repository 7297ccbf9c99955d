"""Two Ray workers of one thread each against one of two threads: the same jobs, in turns.

A worker with its own thread waits for no other at the end of each product, but every worker reads
the weights for itself. Jobs a second are counted once all workers have their models, and with the
time until the first has its own. Every turn has a cluster of its own on this machine.
"""

from __future__ import annotations

import os
import time
from importlib.util import find_spec
from statistics import mean

from tqdm.auto import tqdm

from benchmarks.rows import Row, spread
from benchmarks.setting import MODEL, PROMOTED, QUESTION, Setting
from workbench.runs import RayCluster, Study
from workbench.runs.executors import Pack
from workbench.runs.worker import Setup

NAME = "workers"
BOUND = 0.8
LAYERS, SEEDS, PACK, STEPS = (15, 20, 24, 27), 32, 8, 3
CASES = {"1 worker, 2 threads": (1, 2), "2 workers, 1 thread each": (2, 1)}
ALONE, APART = CASES


def measure(setting: Setting) -> list[Row]:
    """Jobs a second of both, and the ratio, with and without the time to load."""
    if (os.cpu_count() or 1) < 2 or find_spec("ray") is None:
        why = "this machine has one core, or no Ray"
        return [Row(NAME, "ratio", None, "x", BOUND, how=why)]
    packs = _packs(SEEDS // 8 if setting.quick else SEEDS)
    turns = [ALONE, APART] if setting.quick else [ALONE, APART, ALONE]
    found: dict[str, list[tuple[float, float]]] = {case: [] for case in CASES}
    for case in tqdm(turns, desc=NAME, unit="turn"):
        workers, threads = CASES[case]
        found[case].append(_seconds(RayCluster(workers, None, threads), packs))
    jobs = sum(map(len, packs))
    case = f"{jobs} jobs in packs of {PACK}, float32"
    rows = [
        Row(
            NAME,
            f"{name}: {case}",
            jobs / mean(working for _, working in turns),
            "jobs/s",
            how=(
                f"{mean(working for _, working in turns):.1f} s, after "
                f"{mean(starting for starting, _ in turns):.1f} s to start; "
                f"{spread([jobs / working for _, working in turns])}"
            ),
            data={"starting": [a for a, _ in turns], "working": [b for _, b in turns]},
        )
        for name, turns in found.items()
    ]
    working, whole = (
        mean(map(seconds, found[ALONE])) / mean(map(seconds, found[APART]))
        for seconds in (lambda turn: turn[1], sum)
    )
    how = f"jobs a second of {APART}, over those of {ALONE}"
    return [
        *rows,
        Row(NAME, f"ratio: {case}", working, "x", BOUND, how=how),
        Row(NAME, f"ratio, start included: {case}", whole, "x", how=how),
    ]


def _packs(seeds: int, steps: int = STEPS) -> list[Pack]:
    """Packs of jobs at several layers, each a vector made in a few steps and measured once."""
    return Study(
        name=NAME,
        model={"name": MODEL},
        methods={"adam": {"steps": steps, "learning_rate": 0.5}},
        examples={"wasps": {"prompt": QUESTION, "promote": [PROMOTED]}},
        layers=list(LAYERS),
        seeds=list(range(seeds)),
        measures={"held-out": {"measure": "log-prob", "prompts": ["How do I boil an egg?"]}},
        pack=PACK,
    ).packs()


def _seconds(executor: RayCluster, packs: list[Pack]) -> tuple[float, float]:
    """Seconds until a worker has done one job, and seconds for all packs from then on."""
    first = _packs(1, steps=1)[-1]
    setup = Setup(packs[0][0].model)
    begin = time.perf_counter()
    outcomes = executor.run([first, *packs], setup)
    done = next(outcomes)
    starting = time.perf_counter() - begin
    time.sleep(starting)  # no pack is given out before the next is asked for: all have loaded
    begin = time.perf_counter()
    done += [outcome for some in outcomes for outcome in some]
    working = time.perf_counter() - begin
    failed = [each.record["error"] for each in done if each.vector is None]
    if failed:
        raise RuntimeError(f"{len(failed)} jobs failed: {failed[0]}")
    return starting, working
