"""What is expensive is done rarely, and not while there is work to do."""

from __future__ import annotations

import _thread
import ctypes
import os
import threading
import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Optional, TypeVar

Value = TypeVar("Value")

SHARE = 0.001  # of the time, at most, that may go into readings of one kind
BUSY = 0.5  # processors that the process keeps busy: more than this is load
_AFTER = 0.02  # seconds that another thread waits first, so that who asked is done by then
_SPAN = 1.0  # seconds that its load is measured over, at least


@dataclass(frozen=True)
class Clock:
    """Seconds, of which only differences count: of the day, and of all processors."""

    now: Callable[[], float] = time.monotonic
    used: Callable[[], float] = time.process_time


def start_apart(work: Callable[[], None]) -> None:
    """In another thread, which does not keep the program from ending. 0.02 ms: a Thread would wait
    until it runs, which beside other work takes milliseconds. Raises RuntimeError: there can be no
    more threads, or the interpreter ends."""
    _let_end()
    _thread.start_new_thread(work, ())


_can_end = False


def _let_end() -> None:
    """Loads what glibc needs where the interpreter ends and a thread with it: it is looked for only
    then, and the process aborted if no more files can be opened. Raises RuntimeError: it is so."""
    global _can_end
    if not _can_end and hasattr(ctypes.CDLL(None), "gnu_get_libc_version"):
        try:
            ctypes.CDLL("libgcc_s.so.1")
        except OSError as error:
            raise RuntimeError(str(error)) from None
    _can_end = True


class Reading:
    """Begins anew in a forked child: what was read is its parent's, and locks may be held by
    threads that the child does not have."""

    def __init__(self) -> None:
        self._begin()
        _readings.add(self)

    def _begin(self) -> None:
        """Sets up all that is remembered, locks included."""
        raise NotImplementedError


_readings: weakref.WeakSet[Reading] = weakref.WeakSet()


def _begin_all() -> None:
    for one in _readings:
        one._begin()


os.register_at_fork(after_in_child=_begin_all)


class Load:
    """Whether this process is busy: how many processors it has used since it was last asked."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._since = (clock.now(), clock.used())
        self._busy = False  # of one that was only just asked, nothing is known

    def busy(self) -> bool:
        """Measured over a second or more; asked sooner, what was found last."""
        now, used = self._clock.now(), self._clock.used()
        passed = now - self._since[0]
        if passed >= _SPAN:
            self._busy = (used - self._since[1]) / passed > BUSY
            self._since = (now, used)
        return self._busy


@dataclass(frozen=True)
class Limited(Generic[Value]):
    """The newest value there is. None: there is none yet, and ``reason`` says why."""

    value: Optional[Value]  # noqa: UP045 (evaluated by 3.9)
    age: float
    reason: str = ""


class Limiter(Generic[Value]):
    """Reads again only when ``interval`` seconds have passed, and so many that readings take no
    more than a thousandth of the time (`SHARE`); else gives what was read last."""

    def __init__(
        self,
        read: Callable[[], Value],
        *,
        interval: float,
        busy: Callable[[], bool] | None = None,
        patience: float | None = None,
        took: float = 0.0,
        clock: Clock | None = None,
    ) -> None:
        """``busy``: nothing is read while it says so. An interval of 0: as often as is asked, but
        for the share. ``patience``: seconds that who asks may wait; where the reading before took
        longer (``took``: what the first is expected to take), another thread reads, and there is
        what was read last. None: as long as it takes."""
        self._read = read
        self._interval = interval
        self._busy = busy
        self._patience, self._took = patience, took
        self._clock = clock or Clock()
        self._lock = threading.Lock()
        self._asking: set[int] = set()  # threads
        self._last: tuple[Value, float] | None = None
        self._next = float("-inf")

    @property
    def due(self) -> float:
        """The clock's time until which `get` gives what was read last, unless it is to be fresh."""
        return self._next

    def get(self, *, fresh: bool = False) -> Limited[Value]:
        """``fresh``: read now, whatever it costs."""
        last, now = self._last, self._clock.now()
        if last is not None and now < self._next and not fresh:
            return Limited(last[0], max(now - last[1], 0.0))
        here = threading.get_ident()
        again = here in self._asking  # a handler of signals: it cannot wait for what it is in
        self._asking.add(here)
        try:
            return self._get(fresh, wait=fresh and not again)
        finally:
            if not again:
                self._asking.discard(here)

    def _get(self, fresh: bool, *, wait: bool) -> Limited[Value]:
        reason = ""
        # Who comes while another thread is reading takes what there was before.
        if self._lock.acquire(blocking=wait):
            left = False  # to another thread, the lock too
            try:
                begun = self._clock.now()
                if not fresh and begun < self._next:
                    pass
                elif not fresh and self._busy is not None and self._busy():
                    reason = "not asked while this process is busy"
                elif not fresh and self._patience is not None and self._took > self._patience:
                    left = self._take_apart()
                else:
                    self._take(begun)
            finally:
                if not left:
                    self._lock.release()
        last = self._last
        if last is None:
            return Limited(None, 0.0, reason or "being asked for the first time")
        return Limited(last[0], max(self._clock.now() - last[1], 0.0))

    def _take_apart(self) -> bool:
        """Has a thread read, which then gives the lock back. False: there can be none."""

        def take() -> None:
            try:
                time.sleep(_AFTER)
                self._take(self._clock.now())
            except Exception:
                # What was to be read has ended, say: a traceback on stderr would be the program's.
                pass
            finally:
                self._lock.release()

        try:
            start_apart(take)
        except RuntimeError:  # no more threads, or the interpreter ends
            return False
        return True

    def _take(self, begun: float) -> None:
        value = self._read()
        ended = self._clock.now()
        self._took = ended - begun
        self._last = (value, ended)
        self._next = ended + max(self._interval, self._took / SHARE)
