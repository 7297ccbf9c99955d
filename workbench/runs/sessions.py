"""When, where and by what something was run."""

from __future__ import annotations

import os
import platform
import socket
from datetime import datetime, timezone
from typing import Any

import torch

from workbench.steering.provenance import library_versions


def session(executor: str) -> dict[str, Any]:
    """What environment.json says of one run."""
    gpus = range(torch.cuda.device_count())
    return {
        "started": now(),
        "host": socket.gethostname(),
        "process": os.getpid(),
        "executor": executor,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpus": [torch.cuda.get_device_name(i) for i in gpus],
        "versions": library_versions(),
    }


def now() -> str:
    """The time, to the second, in ISO 8601."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def here() -> str:
    """This process, as records name who did a job: host:process."""
    return f"{socket.gethostname()}:{os.getpid()}"
