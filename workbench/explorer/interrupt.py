"""The kernel's stop button stops what panels do.

They work in threads, which a signal does not reach, and a kernel that waits for its next message
ignores the signal: without this, its stop button would do nothing for them.
"""

from __future__ import annotations

import asyncio
import signal
import threading
from typing import Any
from weakref import WeakSet

from workbench.explorer.worker import Worker

_SOON, _TRIES = 0.2, 300  # seconds; while a cell runs the signal is the cell's
_HEEDING: WeakSet[Worker] = WeakSet()


def heed_interrupts(worker: Worker) -> None:
    """Let a kernel's interrupt stop what `worker` does; elsewhere this does nothing."""
    _HEEDING.add(worker)
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return
    loop.call_later(_SOON, _listen, loop, _TRIES)


def _listen(loop: asyncio.AbstractEventLoop, tries: int) -> None:
    """Take the place of an idle kernel's handler, which ignores the signal; of no other."""
    now = signal.getsignal(signal.SIGINT)
    if now is signal.default_int_handler and tries:
        loop.call_later(_SOON, _listen, loop, tries - 1)
    elif now is signal.SIG_IGN and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, _stop_all)


def _stop_all(number: int, frame: Any) -> None:
    for worker in list(_HEEDING):
        worker.stop()
