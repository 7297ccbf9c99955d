"""The engine against the published procedure: 1, 8 and 32 vectors, three layers, both dtypes.

The contestants take turns, in changing order, so that a slow minute of the machine meets all of
them. Whole calls of 20 steps are timed, set-up included. A ratio compares calls of one round.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from statistics import median
from typing import Any

from tqdm.auto import tqdm

import workbench as wb
from benchmarks.operations import matrix_rate, needed
from benchmarks.published import loss_of, published
from benchmarks.rows import Row, spread
from benchmarks.setting import COLDNESS, LEARNING_RATE, LENGTHS, Setting, timed
from workbench.models.hooked import dtype_of

NAME = "optimization"
STEPS = 20
LAYER = 15
ROUNDS = {LAYER: 4, 5: 2, 25: 2}
MANY = 32  # so many vectors are a minute of work: they take part in each layer's first round only
AGREEMENT_STEPS = 30
SPEED = {("float32", 1): 3.0, ("float32", 8): 4.5, ("bfloat16", 8): 12.0}  # at layer 15
SHARE = 0.80  # of the matrix-product rate, 8 vectors in float32 at layer 15
GAP = {"float32": 0.01, "bfloat16": 0.05}
Engine = tuple[str, int]  # dtype, vectors


def measure(setting: Setting) -> list[Row]:
    """Speed at each layer, the share of the machine's rate, and equal losses."""
    rounds = {LAYER: 2} if setting.quick else ROUNDS
    counts = (1, 8) if setting.quick else (1, 8, MANY)
    engines = [(dtype, count) for dtype in setting.models for count in counts]
    rows = []
    for layer, times in rounds.items():
        rows += _rows(setting, layer, _race(setting, layer, times, engines))
    if "bfloat16" not in setting.models:
        why = "this CPU has no bfloat16 instructions; --bfloat16 measures all the same"
        rows.append(Row(NAME, "bfloat16", None, how=why))
    return rows + [_agreement(setting, dtype) for dtype in setting.models]


def _race(setting: Setting, layer: int, rounds: int, engines: list[Engine]) -> list[dict[str, Any]]:
    """Each round's seconds of every contestant, and the rates measured around each engine."""
    for dtype in setting.models:  # what a first call does once is not timed
        wb.optimize_batch(setting.models[dtype], setting.jobs(layer, 1, 1), progress=False)
    published(setting.hf_model, setting.completions, layer, setting.start(0), 1)
    found: list[dict[str, Any]] = []
    turns = [(i, each) for i in range(rounds) for each in _turn(i, engines)]
    for i, contestant in tqdm(turns, desc=f"{NAME}, layer {layer}", unit="call"):
        if i == len(found):
            found.append({"seconds": {}, "rate": {}})
        seconds, rate = found[i]["seconds"], found[i]["rate"]
        if contestant is None:
            seconds["baseline"], _ = timed(_baseline(setting, layer, seed=i))
            continue
        before = _rate(setting, layer, contestant)
        seconds[contestant], _ = timed(_engine(setting, layer, contestant, seed=i))
        rate[contestant] = (before + _rate(setting, layer, contestant)) / 2
    return found


def _turn(i: int, engines: list[Engine]) -> list[Engine | None]:
    """Who runs in a round, in which order: None is the baseline."""
    running = [None, *(each for each in engines if i == 0 or each[1] != MANY)]
    return running[::-1] if i % 2 else running


def _baseline(setting: Setting, layer: int, seed: int) -> Callable[[], Any]:
    """One vector by the published procedure."""
    task = (setting.hf_model, setting.completions, layer, setting.start(seed), STEPS)
    return partial(published, *task, LEARNING_RATE, COLDNESS)


def _engine(setting: Setting, layer: int, engine: Engine, seed: int) -> Callable[[], Any]:
    """Several vectors by the workbench, in one call."""
    dtype, count = engine
    jobs = setting.jobs(layer, count, STEPS, first_seed=seed)
    return partial(wb.optimize_batch, setting.models[dtype], jobs, progress=False)


def _rate(setting: Setting, layer: int, engine: Engine) -> float:
    """The machine's matrix-product rate on the shapes of a step, in operations a second."""
    dtype, count = engine
    return matrix_rate(
        setting.hf_model.config,
        blocks=setting.layers - layer,
        rows=count * sum(LENGTHS),
        read=count * sum(LENGTHS[1:]),
        dtype=dtype_of(setting.models[dtype]),
    )


def _rows(setting: Setting, layer: int, rounds: list[dict[str, Any]]) -> list[Row]:
    """The table's rows of one layer."""
    operations = needed(setting.hf_model.config, layer, LENGTHS[0], LENGTHS[1:])
    baseline = [each["seconds"]["baseline"] for each in rounds]
    rows = [
        Row(
            NAME,
            f"published procedure, layer {layer}, float32",
            1000 * median(baseline) / STEPS,
            "ms",
            how=f"a vector and step; {spread([1000 * each / STEPS for each in baseline], 0)}",
            data={"seconds": baseline, "steps": STEPS},
        )
    ]
    for engine in rounds[0]["rate"]:
        dtype, count = engine
        taken = [each for each in rounds if engine in each["rate"]]
        seconds = [each["seconds"][engine] for each in taken]
        ratios = [each["seconds"]["baseline"] * count / each["seconds"][engine] for each in taken]
        rates = [each["rate"][engine] for each in taken]
        done = [operations * STEPS * count / each for each in seconds]
        shares = [one / rate for one, rate in zip(done, rates, strict=True)]
        case = f"{count} vector{'s' * (count > 1)}, layer {layer}, {dtype}"
        bounded = layer == LAYER
        data = {"seconds": seconds, "ratios": ratios, "rates": rates, "shares": shares}
        how = (
            f"the speed of the published procedure, a vector; {spread(ratios)}; "
            f"{1000 * median(seconds) / STEPS / count:.0f} ms a vector and step, "
            f"{median(shares):.0%} of the matrix-product rate"
        )
        bound = SPEED.get(engine) if bounded else None
        rows.append(Row(NAME, case, median(ratios), "x", bound, how=how, data=data))
        if bounded and engine == ("float32", 8):
            how = (
                f"of {median(rates) / 1e9:.0f} GFLOP/s; {operations / 1e9:.1f} GFLOP needed a "
                f"vector and step; {spread(shares)}"
            )
            share = median(shares)
            rows.append(Row(NAME, f"rate reached: {case}", share, "%", SHARE, how=how, data=data))
    return rows


def _agreement(setting: Setting, dtype: str) -> Row:
    """How far losses after 30 steps lie from the baseline's, from the same starts."""
    count, steps = (2, 10) if setting.quick else (8, AGREEMENT_STEPS)
    jobs = setting.jobs(LAYER, count, steps)
    runs = wb.optimize_batch(setting.models[dtype], jobs, progress=False)
    ours = [run.last_loss for run in runs]
    starts = tqdm(range(count), desc=f"losses, {dtype}", unit="vector")
    theirs = [_published_end(setting, seed, steps) for seed in starts]
    gaps = [abs(a - b) / max(b, 0.5) for a, b in zip(ours, theirs, strict=True)]
    return Row(
        NAME,
        f"losses, layer {LAYER}, {dtype}",
        max(gaps),
        "%",
        GAP[dtype],
        at_most=True,
        how=(
            f"largest |a-b|/max(b, 0.5) of {count} vectors after {steps} steps, "
            "b from the published procedure in float32"
        ),
        data={"ours": ours, "published": theirs},
    )


def _published_end(setting: Setting, seed: int, steps: int) -> float:
    """The loss after the last step of the published procedure."""
    task = (setting.hf_model, setting.completions, LAYER)
    run = published(*task, setting.start(seed), steps, LEARNING_RATE, COLDNESS)
    return loss_of(*task, run.vector, COLDNESS)
