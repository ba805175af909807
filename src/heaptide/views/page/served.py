"""The page of a recording as a server gives it: names and sources are looked up on the way."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence

from heaptide.errors import HeaptideError
from heaptide.profile import Profile
from heaptide.recording import Recording

from . import Focus, Page, build, empty_page, is_finer

MOST_BYTES = 200_000_000  # of the data: what a browser still opens in a few seconds
_LEAST_SECONDS = 1.0  # between two looks at a recording that grows
_SHARE = 3.0  # times what a look takes is waited after it
_MOST_SECONDS = 5.0  # a page that stands still for longer is taken to hang


class Served:
    """`heaptide.views.server.Content` of a recording, of a difference, or of one that grows.

    Without symbols, functions are addresses until their names have been found, in a thread.
    """

    def __init__(
        self,
        look: Callable[[], Recording],
        base: Recording | None = None,
        *,
        pid: int | None = None,
        live: bool = False,
        alive: Callable[[], bool] = lambda: True,
    ) -> None:
        """``look`` gives the recording as of now; with ``live`` it is called again and again, until
        the recording has ended or what writes it is not ``alive`` any more."""
        self._look = look
        self._base = None if base is None else Profile(base)
        self._pid = pid
        self._live = live
        self._alive = alive
        self._stopped = threading.Event()
        self._changed = threading.Condition()
        self._version = 0
        self._complete = False
        self._building = threading.Lock()  # a recording is read by one thread at a time
        self._finer: tuple[Page, Focus, bytes] | None = None  # what was asked for last
        recording = look()
        self._shown = recording
        self._page = self._build(recording)
        self._thread = threading.Thread(target=self._keep_up, args=(recording,), daemon=True)
        self._thread.start()

    def _build(self, recording: Recording, focus: Focus | None = None) -> Page:
        from heaptide.profile import rows_of_pid

        rows = None if self._pid is None else rows_of_pid(recording, self._pid)
        growing = self._live and recording.end is None
        return build(
            Profile(recording, rows),
            self._base,
            most=MOST_BYTES,
            served=True,
            live=growing,
            focus=focus,
        )

    def close(self) -> None:
        """Stops looking."""
        self._stopped.set()
        self._thread.join()

    # What the server asks for.

    def page(self) -> bytes:
        return empty_page(self._page.title)

    def data(self, start: int = 0, end: int = 0, cuts: Sequence[int] = ()) -> bytes:
        with self._changed:
            page, shown = self._page, self._shown
        if start >= end and not cuts:
            return page.data
        focus = Focus(start, end, tuple(cuts))
        with self._building:
            if self._finer is None or self._finer[:2] != (page, focus):
                self._finer = (page, focus, self._data_of(page, shown, focus))
            return self._finer[2]

    def _data_of(self, page: Page, shown: Recording, focus: Focus) -> bytes:
        sides = (shown,) if self._base is None else (shown, self._base.recording)
        try:
            if not is_finer(focus, *sides):
                return page.data
            finer = self._build(shown, focus)
        except HeaptideError:  # a file that goes on, of which that is gone
            return page.data
        # Files are asked for by their numbers, which folding changes.
        return finer.data if finer.files == page.files else page.data

    def source(self, file: int) -> str | None:
        return self._page.source(file)

    def wait(self, version: int, seconds: float) -> int:
        with self._changed:
            self._changed.wait_for(lambda: self._complete or self._version != version, seconds)
            return self._version

    def complete(self) -> bool:
        return self._complete

    # What changes.

    def _keep_up(self, recording: Recording) -> None:
        """Finds names that are missing; with ``live`` looks again until the recording has ended."""
        first, seen = True, _state(recording)
        while not self._stopped.is_set():
            began = time.monotonic()
            # Before the look, which sees all that was written by then.
            ended = not first and not self._alive()
            try:
                if not first:
                    recording = self._look()
                now = _state(recording)
                if first or now != seen:
                    shown = recording if recording.symbols is not None else recording.named()
                    if not first or shown is not recording:
                        with self._building:
                            page = self._build(shown)
                        self._show(page, shown)
                seen = now
                ended = ended or recording.end is not None
            except HeaptideError:  # a file that is gone, or in the middle of being replaced
                pass
            first = False
            if ended or not self._live:
                break
            took = time.monotonic() - began
            self._stopped.wait(max(_LEAST_SECONDS, min(took * _SHARE, _MOST_SECONDS)))
        with self._changed:
            self._complete = True
            self._changed.notify_all()

    def _show(self, page: Page, shown: Recording) -> None:
        with self._changed:
            self._page, self._shown = page, shown
            self._version += 1
            self._changed.notify_all()


def _state(recording: Recording) -> tuple[object, ...]:
    """What is another one when the file has been written to, or replaced."""
    try:
        status = os.stat(recording.path)  # noqa: PTH116
    except (OSError, ValueError):
        return (recording.path,)
    return recording.path, status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
