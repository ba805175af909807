"""Looks at a recording in a thread of its own, so that keys never wait for it.

The time between looks follows what they cost: a view takes a tenth of one core at most, drawing
included, however large the recording is.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from heaptide.errors import HeaptideError

from .rows import Choice, Table, table

if TYPE_CHECKING:
    from .model import Look, Model

_LEAST_SECONDS = 1.0
_SHARE = 0.2  # of one core
_MOST_SECONDS = 5.0  # a screen that stands still for longer is taken to hang


@dataclass(frozen=True)
class Shown:
    """What the screen is to draw."""

    look: Look
    table: Table
    trouble: str = ""  # why there is nothing newer


class Reader(threading.Thread):
    """Calls ``show`` from its thread with what is new, and whenever the choice has changed; or
    ``fail``, once, with what must not have happened."""

    def __init__(
        self,
        model: Model,
        choice: Choice,
        show: Callable[[Shown], object],
        fail: Callable[[Exception], object],
        *,
        least_seconds: float = _LEAST_SECONDS,
    ) -> None:
        super().__init__(name="reader", daemon=True)
        self.interval = least_seconds  # seconds to the next look
        self.paused = False
        self._fail = fail
        self._model = model
        self._show = show
        self._choice = choice
        self._process: int | None = None
        self._least = least_seconds
        self._condition = threading.Condition()
        self._changed = False
        self._stopped = False
        self._due = 0.0

    def choose(self, choice: Choice, process: int | None) -> None:
        """What to show from now on. Another process needs another look, paused or not."""
        with self._condition:
            if process != self._process:
                self._due = 0.0
            self._choice, self._process, self._changed = choice, process, True
            self._condition.notify_all()

    def pause(self, paused: bool) -> None:
        with self._condition:
            self.paused = paused
            if not paused:
                self._due = 0.0
            self._condition.notify_all()

    def stop(self) -> None:
        with self._condition:
            self._stopped = True
            self._condition.notify_all()

    def run(self) -> None:
        try:
            self._run()
        except Exception as error:
            self._fail(error)

    def _run(self) -> None:
        look: Look | None = None
        trouble = ""
        shown: object = None
        busy = 0.0
        while self._wait():
            with self._condition:
                due = (
                    look is None
                    or self._due == 0.0
                    or (not self.paused and time.monotonic() >= self._due)
                )
                choice, process, self._changed = self._choice, self._process, False
                if due:
                    self._due = time.monotonic() + self.interval
            if due:
                try:
                    look, trouble = self._model.look(process), ""
                except HeaptideError as error:
                    trouble = error.message
            if look is None:
                continue
            new = (look.recording, look.phase, look.deleted, choice, process, trouble)
            if not due or new != shown or look.going_on:
                self._show(Shown(look, table(look, choice), trouble))
                shown = new
            if due:
                # Of the time since the look before: drawing what that one saw is part of it.
                now = self._busy()
                if busy:  # the first one reads all there is
                    wanted = min((now - busy) / _SHARE, _MOST_SECONDS)
                    self.interval = max(self._least, wanted)
                busy = now
                with self._condition:
                    if self._due:
                        self._due = time.monotonic() + self.interval

    def _busy(self) -> float:
        """CPU seconds of this process, but for the search for names."""
        return time.process_time() - self._model.finder.cpu_seconds

    def _wait(self) -> bool:
        """Until there is something to do; False when there will be nothing any more."""
        with self._condition:
            while not self._stopped and not self._changed:
                left = self._due - time.monotonic()
                if self._due == 0.0 or (left <= 0 and not self.paused):
                    break
                self._condition.wait(None if self.paused else max(left, 0))
            return not self._stopped
