"""`python -m benchmarks`: measure everything, print one table, write bench.md and bench.json."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import (
    explorer,
    generation,
    memory,
    operations,
    optimization,
    reading,
    scoring,
    sweep,
    time_to_target,
    workers,
)
from benchmarks.machine import describe
from benchmarks.rows import Row, markdown
from benchmarks.setting import LENGTHS, MODEL, Setting
from workbench.files import write_text

WHAT = (
    f"Model: {MODEL}. One example: a chat prompt of {LENGTHS[0]} tokens, one promoted completion "
    f"of {LENGTHS[1]} tokens and one suppressed of {LENGTHS[2]}. The baseline is the published "
    "procedure, written plainly in `benchmarks/published.py`, in float32 on a Hugging Face "
    "instance that was never wrapped, with its default attention, frozen parameters and the same "
    "threads. Figures are medians; a ratio compares calls of one round."
)
QUICK = "A quick run: few rounds and short calls. Its figures are rough."

BUSY = "Other programs were busy on this machine as the run began: its figures are rough."


BENCHMARKS: dict[str, Callable[[Setting], list[Row]]] = {
    optimization.NAME: optimization.measure,
    sweep.NAME: sweep.measure,
    time_to_target.NAME: time_to_target.measure,
    generation.NAME: generation.measure,
    reading.NAME: reading.measure,
    scoring.NAME: scoring.measure,
    explorer.NAME: explorer.measure,
    memory.NAME: memory.measure,
    workers.NAME: workers.measure,
}


def main() -> None:
    """Measure, print and write."""
    options = _parser().parse_args()
    begin = time.perf_counter()
    machine = describe()
    setting = Setting.load(options.quick, options.bfloat16)
    rows: list[Row] = []
    for name in options.only or BENCHMARKS:
        print(f"{name} …", file=sys.stderr, flush=True)
        rows += BENCHMARKS[name](setting)
    machine["minutes"] = round((time.perf_counter() - begin) / 60, 1)
    text = report(machine, rows, options.quick)
    print(text)
    data = {"machine": machine, "quick": options.quick, "rows": [row.to_dict() for row in rows]}
    write_text(options.out / "bench.md", text)
    written = write_text(options.out / "bench.json", json.dumps(data, indent=1, ensure_ascii=False))
    print(f"Written to {written.parent}/bench.md and bench.json.", file=sys.stderr)


def report(machine: dict[str, Any], rows: list[Row], quick: bool) -> str:
    """The Markdown page: the machine, the table, and how things were counted."""
    facts = ", ".join(f"{name} {value}" for name, value in machine.items())
    kept = [row.met for row in rows if row.met is not None]
    parts = [
        "# Benchmarks",
        f"Machine: {facts}.",
        QUICK if quick else "",
        BUSY if (machine["load before"] or 0.0) > 0.5 else "",
        WHAT,
        markdown(rows),
        f"Bounds kept: {sum(kept)} of {len(kept)}.",
        operations.HOW,
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few rounds, short calls: minutes")
    parser.add_argument(
        "--only",
        action="append",
        choices=BENCHMARKS,
        metavar="NAME",
        help=f"one benchmark (may be repeated): {', '.join(BENCHMARKS)}",
    )
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder of the report (out)")
    parser.add_argument(
        "--bfloat16", action="store_true", help="also on a CPU without bfloat16 instructions"
    )
    return parser


if __name__ == "__main__":
    main()
