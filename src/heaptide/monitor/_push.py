"""Metrics to a pushgateway: for what does not live long enough to be scraped."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType

from heaptide.errors import HeaptideError

from ._logger import warn


class Pusher:
    """Pushes every so many seconds, and a last time when it is closed, until then in a thread that
    does not keep the program from ending. A forked child pushes nothing."""

    def __init__(self, push: Callable[[bool], None], every: float | None) -> None:
        """``push``: raises HeaptideError; it is told whether all figures are to be read anew, as
        they are whenever somebody waits for it. ``every``: seconds; None: only when it is called.
        Raises HeaptideError: there can be no thread for it."""
        self._push, self._every = push, every
        self._ended = threading.Event()
        self._failed = False
        if every is not None:
            thread = threading.Thread(target=self._run, name="heaptide-push", daemon=True)
            try:
                thread.start()
            except RuntimeError as error:  # no more threads, or the interpreter ends
                raise HeaptideError(f"metrics cannot be pushed now and then: {error}") from None

    def push(self) -> None:
        """Now. Raises HeaptideError: the gateway cannot be reached, or refuses."""
        self._push(True)

    def close(self) -> None:
        """Pushes a last time, and no more. Raises as `push`."""
        if not self._ended.is_set():
            self._ended.set()
            self._push(True)

    def __enter__(self) -> Pusher:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self.close()
        except HeaptideError as failure:
            warn("%s", failure)  # what the program did counts

    def _run(self) -> None:
        while not self._ended.wait(self._every):
            try:
                self._push(False)
                self._failed = False
            except Exception as error:  # of whatever collector: the next push may succeed
                if not self._failed:  # once, until it works again
                    warn("%s", error)
                self._failed = True
