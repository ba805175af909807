"""A worker's thread that leaves its figures in the folder, again and again."""

from __future__ import annotations

import atexit
import os
import threading
from collections.abc import Callable, Iterable

from ._figures import Sample
from ._logger import warn
from ._workers import Folder, Worker

EVERY = 15.0  # seconds between two times
_FIRST = 1.0  # before the first: a child that only executes another program leaves nothing
_PATIENCE = 1.0  # that a fork waits for figures that are being read


class Leaving:
    """Begins anew in forked children: under gunicorn's preload_app each worker is one.

    No fork happens while the thread reads or writes, so that no child gets a lock that is held.
    """

    def __init__(
        self, folder: Folder, read: Callable[[], Iterable[Sample]], every: float = EVERY
    ) -> None:
        self._folder, self._read, self._every = folder, read, every
        self._worker: Worker | None = None
        self._warned = False
        self._begin()
        _all.append(self)

    def _begin(self) -> None:
        # Not a plain lock: a handler of signals may ask for metrics in between, or fork.
        self._reading, self._ended = threading.RLock(), threading.Event()
        self._worker = self._folder.me()
        thread = threading.Thread(target=self._run, name="heaptide-workers", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # no more threads, or the interpreter ends
            warn("no thread can be started: metrics of this process are told only by itself")

    @property
    def worker(self) -> Worker | None:
        """This process. None: /proc does not tell."""
        return self._worker

    def leave(self) -> list[Sample]:
        """Now, and tells it: if what was told were newer than what is left, counters would go back
        when another worker is asked."""
        with self._reading:
            samples, error = self._leave()
        self._tell(error)
        return samples

    def end(self) -> None:
        """No more is left, and what was is removed."""
        self._ended.set()
        if self in _all:
            _all.remove(self)
        with self._reading:
            if self._worker is not None:
                self._folder.remove(self._worker)

    def _run(self) -> None:
        ended = self._ended
        wait = min(_FIRST, self._every)
        while not ended.wait(wait):
            wait = self._every
            with self._reading:
                if ended.is_set():
                    return
                try:
                    _, error = self._leave()
                except Exception as failure:  # no memory, say: the next time it may be left
                    error = failure
            self._tell(error)

    def _leave(self) -> tuple[list[Sample], Exception | None]:
        samples = list(self._read())
        try:
            if self._worker is not None:
                self._folder.write(self._worker, samples)
        except OSError as error:
            return samples, error
        return samples, None

    def _tell(self, error: Exception | None) -> None:
        """Once, until it works again: the folder may be emptied, or made anew. Not while the lock
        is held: a handler may fork, or ask for metrics."""
        before, self._warned = self._warned, error is not None
        if error is not None and not before:
            warn("metrics of this process cannot be left for others: %s", error)


_all: list[Leaving] = []
_held: list[Callable[[], None]] = []  # what gives the locks back


def _before_fork() -> None:
    for one in list(_all):
        if one._reading.acquire(timeout=_PATIENCE):
            _held.append(one._reading.release)


def _after_in_parent() -> None:
    while _held:
        _held.pop()()


def _after_in_child() -> None:
    _held.clear()
    for one in list(_all):
        one._begin()


def _at_exit() -> None:
    for one in list(_all):
        one.end()


os.register_at_fork(
    before=_before_fork, after_in_parent=_after_in_parent, after_in_child=_after_in_child
)
atexit.register(_at_exit)
