"""Every layer, four seeds each, in one call: against the published procedure one after the other.

The baseline would take most of an hour: it is timed on six layers, before and after the sweep, and
interpolated in between. Its time a step falls evenly with the layer, since only the backward pass
depends on it.
"""

from __future__ import annotations

import numpy as np
from tqdm.auto import tqdm

import workbench as wb
from benchmarks.published import published
from benchmarks.rows import Row
from benchmarks.setting import COLDNESS, LEARNING_RATE, Setting, timed

NAME = "sweep"
SEEDS, STEPS = 4, 30
TIMED_LAYERS = 6
BASELINE_STEPS = 5  # each time: a step of it takes as long as any other
SPEED = {"float32": 4.5, "bfloat16": 12.0}


def measure(setting: Setting) -> list[Row]:
    """Time of one call over all layers, and its ratio to the baseline, for each dtype."""
    return [row for dtype in setting.models for row in _rows(setting, dtype)]


def _rows(setting: Setting, dtype: str) -> list[Row]:
    seeds, steps = (1, 5) if setting.quick else (SEEDS, STEPS)
    timed_layers = 3 if setting.quick else TIMED_LAYERS
    jobs = [
        job
        for layer in range(setting.layers)
        for job in setting.jobs(layer, seeds, steps, first_seed=seeds * layer)
    ]
    before = _baseline(setting, timed_layers)
    seconds, runs = timed(
        lambda: wb.optimize_batch(setting.models[dtype], jobs, progress=not setting.quick)
    )
    after = _baseline(setting, timed_layers)
    a_step = {layer: (before[layer] + after[layer]) / 2 for layer in before}
    interpolated = np.interp(range(setting.layers), list(a_step), list(a_step.values()))
    baseline = float(interpolated.sum()) * seeds * steps
    case = f"{setting.layers} layers, {seeds} seed{'s' * (seeds > 1)}, {steps} steps, {dtype}"
    data = {
        "seconds": seconds,
        "baseline seconds a step by layer": a_step,
        "last losses": {f"{run.job.layers[0]}": run.last_loss for run in runs},
    }
    return [
        Row(NAME, case, seconds, "s", how=f"{len(jobs)} vectors in one call", data=data),
        Row(
            NAME,
            f"ratio: {case}",
            baseline / seconds,
            "x",
            SPEED[dtype],
            how=(
                f"the speed of the published procedure, which would take {baseline:.0f} s: timed "
                f"on layers {', '.join(map(str, a_step))}, interpolated in between"
            ),
        ),
    ]


def _baseline(setting: Setting, count: int) -> dict[int, float]:
    """Seconds a step of the published procedure on some layers, the first and last among them."""
    steps = 2 if setting.quick else BASELINE_STEPS
    layers = np.linspace(0, setting.layers - 1, count).round().astype(int).tolist()
    found = {}
    for layer in tqdm(layers, desc="published procedure", unit="layer"):
        run = (setting.hf_model, setting.completions, layer, setting.start(layer), steps)
        found[layer] = timed(lambda run=run: published(*run, LEARNING_RATE, COLDNESS))[0] / steps
    return found
