"""The machine and the versions that figures belong to."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

LIBRARIES = ("steering-workbench", "torch", "transformer-lens", "transformers")
CPUINFO = Path("/proc/cpuinfo")
BFLOAT16_FLAGS = {"avx512_bf16", "amx_bf16", "bf16", "svebf16"}  # x86, then Arm


def describe() -> dict[str, Any]:
    """What a reader needs to know to compare figures."""
    return {
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "cpu": cpu_name(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "bfloat16 instructions": has_bfloat16(),
        "load before": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "system": platform.platform(),
        "python": platform.python_version(),
        **{name: version(name) for name in LIBRARIES},
    }


def cpu_name() -> str:
    """The processor's name."""
    for line in _cpuinfo():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return _sysctl("machdep.cpu.brand_string") or platform.processor() or platform.machine()


def has_bfloat16() -> bool:
    """Whether the CPU multiplies bfloat16 matrices in hardware.

    Asked of the operating system where it says so, else of PyTorch, whose own table of
    capabilities exists on newer versions only.
    """
    for line in _cpuinfo():
        name, _, flags = line.partition(":")
        if name.strip() in ("flags", "Features"):
            return bool(BFLOAT16_FLAGS & set(flags.split()))
    if _sysctl("hw.optional.arm.FEAT_BF16") == "1":
        return True
    known = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    return any(bool(known.get(flag)) for flag in BFLOAT16_FLAGS)


def _cpuinfo() -> list[str]:
    return CPUINFO.read_text(encoding="utf-8").splitlines() if CPUINFO.is_file() else []


def _sysctl(name: str) -> str:
    """A value of macOS's `sysctl`, or nothing."""
    try:
        done = subprocess.run(
            ["sysctl", "-n", name], capture_output=True, text=True, check=False, timeout=10
        )
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
