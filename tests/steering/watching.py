"""Run a loader under watch: it may not start, send, or write anything, and must end in time."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

FORBIDDEN = (
    "os.exec",
    "os.fork",
    "os.mkdir",
    "os.posix_spawn",
    "os.remove",
    "os.rename",
    "os.spawn",
    "os.system",
    "shutil.",
    "socket.",
    "subprocess.",
)
_seen: list[str] | None = None
_installed = False


class HangError(BaseException):
    """A loader that did not end: no `except Exception` may catch it."""


class Watch:
    """What was seen: how long the slowest case took, and what no loader may do."""

    def __init__(self) -> None:
        self.slowest = 0.0
        self.done: list[str] = []


@contextmanager
def watched(watch: Watch, seconds: float = 10.0) -> Iterator[None]:
    """Watch one case. Raises HangError after `seconds`, where a signal can be had."""
    global _seen, _installed
    if not _installed:
        sys.addaudithook(_audit)  # Python keeps it for good; it does nothing outside of this block
        _installed = True
    timed = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGALRM, _hang) if timed else None
    if timed:
        signal.setitimer(signal.ITIMER_REAL, seconds)
    start, _seen = time.perf_counter(), watch.done
    try:
        yield
    finally:
        _seen = None
        watch.slowest = max(watch.slowest, time.perf_counter() - start)
        if timed:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)


def _hang(number: int, frame: FrameType | None) -> None:
    raise HangError("a loader did not end")


def _audit(event: str, given: tuple[Any, ...]) -> None:
    if _seen is None:
        return
    writes = event == "open" and isinstance(given[1], str) and set(given[1]) & set("wax+")
    if writes or event.startswith(FORBIDDEN):
        _seen.append(f"{event} {given}")
