"""Beginning and ending what records this process: by one thread at a time, and to the end."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Any

from heaptide.errors import UsageError

# What is sent to a process from outside. Faults of its own come at once or end it.
_FAULTS = {
    signal.SIGSEGV,
    signal.SIGBUS,
    signal.SIGFPE,
    signal.SIGILL,
    signal.SIGTRAP,
    signal.SIGABRT,
    signal.SIGSYS,
}
_HELD = frozenset(int(number) for number in signal.valid_signals() - _FAULTS)
# What the signal module wraps, which makes no enums: that takes longer than all the rest.
_sigmask: Callable[[int, Iterable[int]], set[int]] = getattr(
    sys.modules.get("_signal"), "pthread_sigmask", signal.pthread_sigmask
)


class Changing:
    """For ``with``, also within itself. Signals for this thread wait until it is left.

    Python's handlers run in the main thread and may raise anywhere: what has been begun by halves
    would stay so. A handler may also measure, itself.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        # Not a list, which would keep another block: a measurement around this would see that.
        self._masks: tuple[set[int] | None, Any] | None = None
        self._begins = False

    def __enter__(self) -> None:
        mask: set[int] | None = None
        if threading.get_ident() == threading.main_thread().ident:
            mask = _sigmask(signal.SIG_BLOCK, _HELD)
        try:
            self._lock.acquire()
            self._masks = mask, self._masks
        except BaseException:
            self._restore(mask)
            raise

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._masks is not None
        mask, self._masks = self._masks
        self._lock.release()
        self._restore(mask)

    def _restore(self, mask: set[int] | None) -> None:
        if mask is not None:
            _sigmask(signal.SIG_SETMASK, mask)

    @contextlib.contextmanager
    def beginning(self) -> Iterator[None]:
        """A session begins. Raises UsageError in the middle of that: this is a signal's handler."""
        with self:
            if self._begins:
                raise UsageError(
                    "a recording of this process is about to begin; a signal's handler cannot "
                    "begin another in the middle of it"
                )
            self._begins = True
            try:
                yield
            finally:
                self._begins = False

    def after_fork(self) -> None:
        """In the child: what another thread of the parent has locked stays so."""
        self.__init__()  # type: ignore[misc]


changing = Changing()
os.register_at_fork(after_in_child=changing.after_fork)
