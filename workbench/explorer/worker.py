"""Work that does not freeze the page: a thread that does the newest of each kind of request.

Widgets are told from that thread. A model runs one thing at a time, whoever asks: two panels on one
model, or a panel and a cell, take turns.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from weakref import WeakKeyDictionary

from workbench.models.hooked import HookedModel

_TURNS: WeakKeyDictionary[HookedModel, threading.RLock] = WeakKeyDictionary()
_TURNS_MADE = threading.Lock()


@contextmanager
def turn(model: HookedModel) -> Iterator[None]:
    """Have the model to oneself."""
    with _TURNS_MADE:
        lock = _TURNS.setdefault(model, threading.RLock())
    with lock:
        yield


class Task:
    """A request that runs; `stopped` turns true when nobody waits for it any more."""

    def __init__(self) -> None:
        self._stop = threading.Event()

    @property
    def stopped(self) -> bool:
        """Whether to leave off."""
        return self._stop.is_set()

    def stop(self) -> None:
        """Ask it to leave off."""
        self._stop.set()


Work = Callable[[Task], None]


class Worker:
    """One thread. A newer request of a kind replaces one that waits, and stops one that runs.

    What goes wrong is given to `failed` in words; the thread goes on. `begun` gets the kind of what
    begins, and an empty one when nothing is left to do.
    """

    def __init__(self, failed: Callable[[str], None], begun: Callable[[str], None] | None = None):
        self._failed, self._begun = failed, begun or (lambda kind: None)
        self._waiting: dict[str, Work] = {}
        self._running: tuple[str, Task] | None = None
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closed = False

    def ask(self, kind: str, work: Work) -> None:
        """Do `work` soon, in place of what was asked of this kind before."""
        with self._changed:
            if self._closed:
                return
            self._waiting[kind] = work
            if self._running is not None and self._running[0] == kind:
                self._running[1].stop()
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="explorer", daemon=True)
                self._thread.start()
            self._changed.notify()

    def stop(self) -> None:
        """Leave off what runs, and forget what waits."""
        with self._changed:
            self._waiting.clear()
            if self._running is not None:
                self._running[1].stop()

    def close(self) -> None:
        """Stop, and end the thread."""
        self.stop()
        with self._changed:
            self._closed = True
            self._changed.notify()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout=10)

    def wait(self, timeout: float | int = 60) -> bool:
        """Until nothing runs or waits (for tests and scripts); whether that came in time."""
        with self._changed:
            return self._changed.wait_for(
                lambda: not self._waiting and self._running is None, timeout
            )

    def _run(self) -> None:
        while True:
            with self._changed:
                if not self._waiting:
                    self._begun("")
                self._running = None
                self._changed.notify_all()
                self._changed.wait_for(lambda: self._waiting or self._closed)
                if self._closed:
                    return
                kind = next(iter(self._waiting))
                work, task = self._waiting.pop(kind), Task()
                self._running = (kind, task)
            try:
                self._begun(kind)
                work(task)
            except Exception as error:  # noqa: BLE001  # whatever it is, the panel says it and lives on
                self._failed(_words(error))


def _words(error: Exception) -> str:
    """What went wrong; a ValueError says it without its name."""
    if not str(error):
        return repr(error)
    return str(error) if type(error) is ValueError else f"{type(error).__name__}: {error}"
