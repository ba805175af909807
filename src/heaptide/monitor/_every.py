"""Something done again and again in a thread that stands in nobody's way.

It never keeps the interpreter alive, is not there while the process forks, and goes on in the
parent and in the child.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import threading
import time
from collections.abc import Callable

_PATIENCE = 1.0  # seconds that an exit or a fork waits for what is being done to end
_LOOK, _LOOKS = 0.0001, 100  # seconds, and how often at most, for its thread to be gone


class Every:
    """Calls ``do`` each ``interval`` seconds, the first time after one; what takes longer than
    that is not made up for. ``do`` must not raise."""

    def __init__(self, interval: float, do: Callable[[], None], name: str) -> None:
        self._interval, self._do, self._name = interval, do, name
        self._due = 0.0
        self._renew()

    def _renew(self) -> None:
        self._lock = threading.RLock()  # a handler of signals may fork in between
        self._end: threading.Event | None = None  # of the thread that runs, if one does
        self._thread: threading.Thread | None = None
        self._stuck = False  # in what is being done: it is not waited for again

    def start(self) -> None:
        """Once started it goes on, whoever starts it again."""
        if self not in _running:
            self._due = time.monotonic() + self._interval
            _running[self] = None
            self._resume()

    def stop(self) -> None:
        """Returns when it has ended, or after a second."""
        _running.pop(self, None)
        self._pause()

    def _resume(self) -> None:
        with self._lock:
            if self not in _running:
                return
            if self._thread is not None and self._thread.is_alive() and self._end is not None:
                self._end.clear()  # it is still there, and goes on: one that waits is enough
            else:
                end = threading.Event()
                thread = threading.Thread(
                    target=self._run, args=(end,), name=self._name, daemon=True
                )
                # No more threads, or the interpreter ends: then there are no more calls either.
                with contextlib.suppress(RuntimeError):
                    thread.start()
                    self._thread, self._end, self._stuck = thread, end, False

    def _pause(self) -> None:
        with self._lock:
            thread, end = self._thread, self._end
            if end is not None:
                end.set()
        if thread is not None and thread is not threading.current_thread():
            if not self._stuck:
                thread.join(_PATIENCE)
                self._stuck = thread.is_alive()
            if not self._stuck:
                _wait_until_gone(thread.native_id)

    def _run(self, end: threading.Event) -> None:
        while True:
            while not end.wait(max(self._due - time.monotonic(), 0.0)):
                self._do()
                self._stuck = False
                missed = max(time.monotonic() - self._due, 0.0) // self._interval
                self._due += self._interval * (1 + missed)
            with self._lock:
                if end.is_set():  # and not wanted again by now
                    if self._end is end:  # no child's that this very thread has forked
                        self._thread = self._end = None
                    return


def _wait_until_gone(number: int | None) -> None:
    """The kernel has a thread for some microseconds more than Python, which asks the kernel and
    warns of a fork while there are threads. (3.13 asks when ours is there again.)"""
    for _ in range(_LOOKS):
        if number is None or not os.access(f"/proc/self/task/{number}", os.F_OK):
            return
        time.sleep(_LOOK)


_running: dict[Every, None] = {}


def _before_fork() -> None:
    """A thread that holds a lock at that moment would leave it held in the child for good."""
    for one in list(_running):
        one._pause()


def _after_in_parent() -> None:
    for one in list(_running):
        one._resume()


def _after_in_child() -> None:
    for one in list(_running):
        one._renew()
        one._resume()


def _at_exit() -> None:
    """Before what it writes to is taken apart."""
    for one in list(_running):
        one.stop()


os.register_at_fork(
    before=_before_fork, after_in_parent=_after_in_parent, after_in_child=_after_in_child
)
atexit.register(_at_exit)
