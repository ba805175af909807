"""The live screen as a program on a terminal."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any, ClassVar

from textual.app import App
from textual.binding import Binding

from heaptide.errors import HeaptideError
from heaptide.recorder.onscreen import has_gone
from heaptide.recorder.sessions import Running, session_of_recording

from .ending import Ending, drawing_never_fails
from .model import Model
from .output import Program
from .rows import Choice
from .screen import RecordingPage
from .sessionlist import SessionPage


class LiveApp(App[None]):
    """One recording, or the list of all, from which one is opened."""

    ENABLE_COMMAND_PALETTE = False
    TITLE = "heaptide"
    BINDINGS: ClassVar[list[Any]] = [
        Binding("q", "leave", show=False),
        Binding("ctrl+c", "interrupt", show=False, priority=True),
        Binding("ctrl+q", "leave", show=False, priority=True),
    ]
    CSS = "Screen { background: $background; }"

    def __init__(
        self,
        model: Model | None,
        choice: Choice,
        program: Program | None = None,
        *,
        least_seconds: float = 1.0,
    ) -> None:
        """``model`` None: the list. ``program``: the one that is run below the figures."""
        super().__init__()
        self.failure: Exception | None = None
        self.ending = Ending()
        self.has_list = model is None
        self._model = model
        self._choice = choice
        self._program = program
        self._least_seconds = least_seconds

    def on_mount(self) -> None:
        loop = asyncio.get_running_loop()
        self.ending.on_end(lambda number: loop.call_soon_threadsafe(self.exit))
        self._watch_stops()
        if self._model is None:
            self.push_screen(SessionPage(seconds=self._least_seconds))
        else:
            self._open(self._model)
        if self._program is not None:
            self._program.gone = lambda: self.call_later(self.exit)

    def _watch_stops(self) -> None:
        """Takes the terminal anew when continued, but only if it was given back: textual would
        read its keys twice after a mere SIGSTOP."""
        stop, resume = signal.getsignal(signal.SIGTSTP), signal.getsignal(signal.SIGCONT)
        if not (callable(stop) and callable(resume)):
            return  # no terminal, as in tests
        given_back = False

        def stopped(number: int, frame: FrameType | None) -> None:
            nonlocal given_back
            given_back = True
            stop(number, frame)

        def continued(number: int, frame: FrameType | None) -> None:
            nonlocal given_back
            if given_back and not has_gone(0):
                given_back = False
                resume(number, frame)
            else:
                self.call_later(self.refresh, layout=True)

        signal.signal(signal.SIGTSTP, stopped)
        signal.signal(signal.SIGCONT, continued)

    def _open(self, model: Model) -> None:
        self.push_screen(
            RecordingPage(model, self._choice, self._program, least_seconds=self._least_seconds)
        )

    def on_session_page_opened(self, message: SessionPage.Opened) -> None:
        try:
            model = Model(message.session.recording, message.session)
        except HeaptideError as error:
            self.notify(error.message, severity="error", markup=False)
            return
        self._open(model)

    def action_leave(self) -> None:
        self.exit()

    def action_interrupt(self) -> None:
        """Ctrl-C is the program's; where there is none it ends the view."""
        if self._program is not None and not self._program.ended:
            self._program.interrupt()
        else:
            self.exit()

    def _handle_exception(self, error: Exception) -> None:
        """A defect ends the view with one line, as elsewhere."""
        self.failure = error
        if os.environ.get("HEAPTIDE_TRACEBACK"):
            super()._handle_exception(error)
        else:
            self.exit(return_code=1)


def watch(path: str | None, session: Running | None, *, metric: str, by: str) -> None:
    """Shows a recording, or all that are being made if ``path`` is None, until the user leaves.

    Raises RecordingError if there is nothing to follow.
    """
    model = None if path is None else Model(path, session)
    app = LiveApp(model, Choice(metric, by))
    try:
        with _stderr_on_terminal():
            _run(app)
    finally:
        if app.ending.number:  # whatever else the end has brought about
            signal.signal(app.ending.number, signal.SIG_DFL)
            os.kill(os.getpid(), app.ending.number)
    if app.failure is not None:
        raise app.failure


def _run(app: LiveApp) -> None:
    # A shell may have exported them: right when it did, and never after.
    for name in ("COLUMNS", "LINES"):
        os.environ.pop(name, None)
    with app.ending, drawing_never_fails():
        app.run()


@contextlib.contextmanager
def _stderr_on_terminal() -> Iterator[None]:
    """The screen is drawn through stderr, wherever that was sent."""
    if os.isatty(2):
        yield
        return
    before = os.dup(2)
    os.dup2(1, 2)
    try:
        yield
    finally:
        os.dup2(before, 2)
        os.close(before)


def watch_program(path: Path, link: socket.socket) -> int:
    """Shows a program that is being recorded to ``path``; the viewer's exit status."""
    program = Program(link)
    program.started.wait()
    app = LiveApp(Model(path, session_of_recording(path)), Choice(), program)
    _run(app)
    return 0 if app.failure is None or app.ending.number else 1
