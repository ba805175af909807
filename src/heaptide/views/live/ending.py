"""The end of a screen that is told to end, or whose terminal has gone.

What draws and what reads keys may both wait for a terminal for ever, or turn in a circle when it
has gone. So neither decides about the end: a thread does that waits for nothing else.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, TextIO, cast

from heaptide.recorder.onscreen import has_gone

SIGNALS = (signal.SIGTERM, signal.SIGHUP)

_ORDERLY_SECONDS = 10.0  # that an end takes at most
_ALARM_SECONDS = 2.0  # after that, should Python itself stand still
_LOOK_SECONDS = 1.0  # between looks at a terminal of which poll does not tell
_LEFT = b"\0"  # no signal has this number


class Ending:
    """While entered, ends the screen on SIGTERM and SIGHUP, and as SIGHUP would when the terminal
    goes: that signal reaches only those whose own terminal it was.

    ``number``: the signal, 0 before there is one. The screen is asked to end by a call; a process
    that is still there ``seconds`` later ends with status 128 + number. Whoever leaves is to end
    the process soon if there is a number: those seconds go on.

    To be entered in the main thread.
    """

    def __init__(self, terminal: int = 0, seconds: float = _ORDERLY_SECONDS) -> None:
        self.number = 0
        self._terminal = terminal
        self._seconds = seconds
        self._ask: Callable[[int], object] | None = None
        self._lock = threading.Lock()
        self._decided = threading.Event()

    def on_end(self, ask: Callable[[int], object]) -> None:
        """Who is to be asked, with the number: in a thread of ours, or at once and in this one if
        the end has come already. Must not wait."""
        with self._lock:
            self._ask, number = ask, self.number
        if number:
            ask(number)

    def __enter__(self) -> Ending:
        self._reading, self._writing = os.pipe()
        os.set_blocking(self._writing, False)
        # The number of each signal goes through the pipe, whatever the main thread waits for.
        self._wakeup = signal.set_wakeup_fd(self._writing, warn_on_full_buffer=False)
        self._handlers = {one: signal.signal(one, _note) for one in SIGNALS}
        self._handlers[signal.SIGALRM] = signal.signal(signal.SIGALRM, signal.SIG_DFL)
        if has_gone(self._terminal):
            self._begin(signal.SIGHUP)
        self._thread = threading.Thread(target=self._run, name="ending", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        for one, handler in self._handlers.items():
            signal.signal(one, handler or signal.SIG_DFL)
        signal.set_wakeup_fd(self._wakeup)
        if has_gone(self._terminal):
            self._begin(signal.SIGHUP)
        os.write(self._writing, _LEFT)
        self._decided.wait()
        if not self.number:
            self._thread.join()
            os.close(self._writing)
            os.close(self._reading)

    def _begin(self, number: int) -> None:
        with self._lock:
            if self.number:
                return
            self.number = int(number)
            ask = self._ask
        signal.setitimer(signal.ITIMER_REAL, self._seconds + _ALARM_SECONDS)
        if ask is not None:
            with contextlib.suppress(Exception):  # the seconds pass all the same
                ask(self.number)

    def _run(self) -> None:
        poll = select.poll()
        poll.register(self._terminal, 0)
        poll.register(self._reading, select.POLLIN)
        left = False
        while not (self.number or left):
            ready = dict(poll.poll(_LOOK_SECONDS * 1000))
            if self._reading in ready:
                sent = os.read(self._reading, 4096)
                left = _LEFT in sent
                for number in sent:
                    if number in SIGNALS:
                        self._begin(number)
            elif self._terminal in ready:
                self._begin(signal.SIGHUP)
        self._decided.set()
        if self.number:
            time.sleep(self._seconds)
            os._exit(128 + self.number)


def _note(*_: object) -> None:
    """Has gone through the pipe."""


class _Unfailing:
    """A text stream whose errors nobody hears: those of a terminal that has gone. The thread that
    writes for the screen would end by them, and the screen then wait for it."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError):
            self._stream.flush()

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)


@contextlib.contextmanager
def drawing_never_fails() -> Iterator[None]:
    """The screen is drawn through stderr; what cannot be written is left out meanwhile."""
    before = sys.__stderr__
    assert before is not None
    sys.__stderr__ = cast(Any, _Unfailing(before))  # type: ignore[misc]
    try:
        yield
    finally:
        sys.__stderr__ = before  # type: ignore[misc]
