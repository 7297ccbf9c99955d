"""One call's resident memory: `python -m benchmarks.resident CALL DTYPE THREADS` prints JSON.

Peaks come from the kernel's high-water mark (`VmHWM`), reset before the call; where it may not be
reset, from samples every few milliseconds.
"""

from __future__ import annotations

import ctypes
import gc
import json
import sys
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch

import workbench as wb
from benchmarks.published import Completion, published
from benchmarks.setting import LENGTHS, MODEL, plain_model, the_example

STATUS = Path("/proc/self/status")
CLEAR_REFS = Path("/proc/self/clear_refs")
STEPS, LAYER = 2, 15  # the steps of a descent are alike
TOKENS, BATCH = 32, 16  # of the generations
CALLS = {
    "published": "published procedure",
    "1": "1 vector",
    "8": "8 vectors",
    "32": "32 vectors",
    "sweep": "sweep, all layers and 4 seeds",
    "steered": f"steered generation, {BATCH} prompts",
    "plain": f"plain generate, {BATCH} prompts",
}
UNHOOKED = ("published", "plain")


def main(name: str, dtype: str, threads: str) -> None:
    """Load, be idle, call, and print bytes."""
    torch.set_num_threads(int(threads))
    model = plain_model() if name in UNHOOKED else wb.load_model(MODEL, dtype)
    call = _call(name, model)
    loaded = _idle()
    with torch.no_grad():
        model(torch.tensor([[1, 2, 3]]))
    touched = _idle()
    peak, exact = _peak_of(call)
    print(json.dumps({"loaded": loaded, "touched": touched, "peak": peak, "exact": exact}))


def _call(name: str, model: Any) -> Callable[[], Any]:
    """The call, ready to be made. Which tokens the plain model reads does not matter here."""
    width = int(model.config.hidden_size if name in UNHOOKED else model.cfg.d_model)
    vector = torch.ones(width) / width**0.5
    prompt = range(3, 3 + LENGTHS[0])
    if name == "published":
        completions = [Completion(prompt, range(9, 9 + n), n == LENGTHS[1]) for n in LENGTHS[1:]]
        return partial(published, model, completions, LAYER, vector, STEPS)
    if name == "plain":
        rows = torch.tensor([list(prompt)] * BATCH)
        length = {"min_new_tokens": TOKENS, "max_new_tokens": TOKENS}
        options = {"attention_mask": torch.ones_like(rows), "do_sample": False, **length}
        return partial(model.generate, rows, **options)
    example = the_example(model)
    if name == "steered":
        steering = wb.Add(wb.SteeringVector(vector, LAYER))
        options = {"max_new_tokens": TOKENS, "batch_size": BATCH, "progress": False}
        return partial(wb.generate, model, [example.prompt] * BATCH, steering, **options)
    places = [(layer, seed) for layer in range(model.cfg.n_layers) for seed in range(4)]
    if name != "sweep":
        places = [(LAYER, seed) for seed in range(int(name))]
    jobs = [wb.OneShotJob([example], layer, steps=STEPS, seed=seed) for layer, seed in places]
    return partial(wb.optimize_batch, model, jobs, progress=False)


def _peak_of(call: Callable[[], Any]) -> tuple[int, bool]:
    """Bytes at the peak of a call, and whether the kernel kept it or samples found it."""
    try:
        CLEAR_REFS.write_text("5")  # resets the high-water mark
        field, exact = "VmHWM", True
    except OSError:
        field, exact = "VmRSS", False
    seen, done = [_bytes(field)], threading.Event()

    def sample() -> None:
        while not done.wait(0.003):
            seen.append(_bytes(field))

    sampler = threading.Thread(target=sample, daemon=True)
    if not exact:
        sampler.start()
    call()
    seen.append(_bytes(field))
    done.set()
    return max(seen), exact


def _idle() -> int:
    """Resident bytes after what is free has been given back to the system."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # of glibc
    if trim is not None:
        trim(0)
    return _bytes("VmRSS")


def _bytes(field: str) -> int:
    """A line of the process's status, which is in kibibytes."""
    for line in STATUS.read_text(encoding="ascii").splitlines():
        if line.startswith(f"{field}:"):
            return 1024 * int(line.split()[1])
    raise RuntimeError(f"{STATUS} has no {field}")


if __name__ == "__main__":
    main(*sys.argv[1:])
