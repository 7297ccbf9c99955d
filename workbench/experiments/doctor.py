"""Is everything here that the workbench needs, and does it do what it should? What to do if not."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Literal

import pandas as pd
import psutil
import torch
from transformers import PreTrainedTokenizerBase

from workbench.models.converted import is_cached
from workbench.models.hooked import logits
from workbench.models.known import KNOWN
from workbench.models.loading import as_device, bfloat16_is_fast, from_hf
from workbench.models.packaged import cache_dir
from workbench.steering import Add, SteeringVector, steer

State = Literal["fine", "missing", "wrong"]
EXTRAS = {
    "notebook": ("ipywidgets", "anywidget", "jupyterlab"),
    "export": ("kaleido",),
    "train": ("peft", "sklearn"),
    "studies": ("duckdb", "pyarrow"),
    "search": ("optuna",),
    "ray": ("ray",),
}
MEMORY, DISK = 2e9, 1e9  # bytes that the embedded model is comfortable with
_SIZE = 32


@dataclass(frozen=True)
class Check:
    """One thing that was looked at. What is `missing` is optional, what is `wrong` is not."""

    name: str
    state: State
    found: str
    advice: str = ""


def examine() -> list[Check]:
    """Look at everything; a few seconds. What fails is a finding, never an error."""
    checks = [*_libraries(), *_extras(), _device(), _memory(), _cache(), _embedded(), _browser()]
    return [*checks, _self_test()]


def to_frame(checks: Iterable[Check]) -> pd.DataFrame:
    """One row a check: name, state, found, advice."""
    return pd.DataFrame([vars(check) for check in checks])


def _libraries() -> list[Check]:
    python = ".".join(map(str, sys.version_info[:3]))
    found = [Check("Python", "fine", python)]
    for name in ("steering-workbench", "torch", "transformers", "transformer-lens", "plotly"):
        try:
            found.append(Check(name, "fine", version(name)))
        except PackageNotFoundError:
            advice = "pip install steering-workbench" + ("" if "workbench" in name else f" {name}")
            found.append(Check(name, "wrong", "not installed", advice))
    return found


def _extras() -> list[Check]:
    checks = []
    for extra, modules in EXTRAS.items():
        absent = [module for module in modules if find_spec(module) is None]
        checks.append(
            Check(
                f"extra {extra}",
                "missing" if absent else "fine",
                f"no {', '.join(absent)}" if absent else ", ".join(modules),
                f"pip install 'steering-workbench[{extra}]'" if absent else "",
            )
        )
    return checks


def _device() -> Check:
    device = as_device("auto")
    if device.type == "cuda":
        free, total = torch.cuda.mem_get_info(device)
        name = torch.cuda.get_device_name(device)
        return Check("device", "fine", f"{name}, {free / 1e9:.1f} of {total / 1e9:.1f} GB free")
    fast = bfloat16_is_fast(device)
    threads = torch.get_num_threads()
    return Check(
        "device",
        "fine",
        f"CPU, {threads} thread{'s' if threads > 1 else ''}, bfloat16 {'fast' if fast else 'slow'}",
        "" if fast else "stay with float32: it is as fast on this processor, and exact",
    )


def _memory() -> Check:
    free = psutil.virtual_memory().available
    enough = free > MEMORY
    return Check(
        "memory",
        "fine" if enough else "wrong",
        f"{free / 1e9:.1f} GB free",
        "" if enough else f"the embedded model is comfortable with {MEMORY / 1e9:.0f} GB",
    )


def _cache() -> Check:
    folder = cache_dir()
    there = next(each for each in (folder, *folder.parents) if each.exists())
    try:
        free = shutil.disk_usage(there).free
    except OSError as error:
        return Check("cache", "wrong", f"{folder}: {error}", "set WORKBENCH_CACHE to a folder")
    if free < DISK:
        advice = "make room, or set WORKBENCH_CACHE to a folder elsewhere"
        return Check("cache", "wrong", f"{folder}, {free / 1e9:.1f} GB free", advice)
    return Check("cache", "fine", f"{folder}, {free / 1e9:.1f} GB free")


def _embedded() -> Check:
    known = next(iter(KNOWN.values()))
    if is_cached(known):
        return Check(known.name, "fine", "in the cache")
    return Check(known.name, "missing", "not fetched yet", "it is fetched when first loaded")


def _browser() -> Check:
    names = ("chromium", "google-chrome", "chrome", "chromium-browser")
    found = next((path for name in names if (path := shutil.which(name))), None)
    if found is not None:
        return Check("browser", "fine", found)
    advice = "install Chrome or Chromium to export figures as pictures"
    return Check("browser", "missing", "none found", advice)


def _self_test() -> Check:
    """A tiny random model: steered through our hook and through a plain one."""
    start = time.perf_counter()
    try:
        difference = _hook_difference()
    except Exception as error:  # noqa: BLE001  # whatever fails here is the finding
        return Check("self-test", "wrong", repr(error), _report_it())
    seconds = time.perf_counter() - start
    if difference > 1e-4:
        advice = _report_it()
        return Check("self-test", "wrong", f"steered logits differ by {difference:.2g}", advice)
    return Check("self-test", "fine", f"steering equals a plain hook, {seconds:.1f} s")


def _hook_difference() -> float:
    """Steered logits against those of the Hugging Face model with a hook of its own."""
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=64,
        hidden_size=_SIZE,
        intermediate_size=2 * _SIZE,
        num_hidden_layers=3,
        num_attention_heads=4,
        attn_implementation="eager",
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        hf_model = LlamaForCausalLM(config).eval()
    tokens = torch.arange(5, 13)[None]
    values = torch.linspace(-1, 1, _SIZE)

    def add(module: object, args: tuple, kwargs: dict) -> tuple[tuple, dict]:
        stream = args[0] if args else kwargs.pop("hidden_states")
        return (stream + values, *args[1:]), kwargs

    with torch.no_grad():
        handle = hf_model.model.layers[1].register_forward_pre_hook(add, with_kwargs=True)
        expected = hf_model(tokens).logits
        handle.remove()
        model = from_hf(hf_model, _no_words(), name="self-test", device="cpu")
        with steer(model, Add(SteeringVector(values, 1))):
            found = logits(model, tokens)
    return float((found - expected).abs().max())


def _no_words() -> PreTrainedTokenizerBase:
    """A tokenizer of 64 numbers, for a model that reads none."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    core = Tokenizer(models.WordLevel({str(i): i for i in range(64)}, unk_token="0"))
    core.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=core, unk_token="0", pad_token="1")


def _report_it() -> str:
    shown = ", ".join(f"{each.name} {each.found}" for each in _libraries())
    return f"report this with your versions: {shown}"
