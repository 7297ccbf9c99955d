"""Peak resident memory of single calls, each in a fresh process, above that process while idle.

Two readings of "idle" are possible. Weights are mapped from their file, and just after loading few
of them have been read: what a call then adds counts the weights that it reads. After one pass over
a few tokens all of them are in memory, and what a call adds is its own. The figures and the bound
are the second; where there is a bound, the first stands beside it, weights and all. Linux only.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch

from benchmarks.resident import CALLS, STATUS, UNHOOKED
from benchmarks.rows import Row
from benchmarks.setting import Setting

NAME = "memory"
QUICK = ("published", "8")
BOUND = 1.5  # float32 weights, for 8 vectors in float32
MB = 1e6


def measure(setting: Setting) -> list[Row]:
    """Peaks of every kind of call, as multiples of the float32 weights."""
    if not STATUS.is_file():
        return [Row(NAME, "all", None, how="needs Linux's /proc")]
    weights = 4 * sum(parameter.numel() for parameter in setting.hf_model.parameters())
    rows = []
    for dtype in setting.models:
        for call in QUICK if setting.quick else CALLS:
            if dtype == "float32" or call not in UNHOOKED:
                rows += _rows(call, dtype, in_fresh_process(call, dtype), weights)
    return rows


def in_fresh_process(call: str, dtype: str) -> dict[str, Any]:
    """What `benchmarks.resident` measures of a call, in bytes."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.resident", call, dtype, str(torch.get_num_threads())],
        cwd=Path(__file__).parents[1],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


def _rows(call: str, dtype: str, found: dict[str, Any], weights: int) -> list[Row]:
    case = f"{CALLS[call]}, {dtype}"
    bound = BOUND if (call, dtype) == ("8", "float32") else None
    sampled = "" if found["exact"] else "; sampled"
    readings = {"peak": ("touched", "with all weights read")}
    if bound is not None:
        readings["peak, weights included"] = ("loaded", "before most of the weights were read")
    rows = []
    for name, (idle, when) in readings.items():
        above = found["peak"] - found[idle]
        how = f"the float32 weights ({weights / MB:.0f} MB): {above / MB:.0f} MB above idle {when}"
        own = bound if idle == "touched" else None
        row = Row(NAME, f"{name}: {case}", above / weights, "x", own, True, how + sampled, found)
        rows.append(row)
    return rows
