"""``heaptide run --live``: the program below its figures, on one screen."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from heaptide.cli.errors import describe
from heaptide.cli.top import require_textual
from heaptide.errors import UsageError

if TYPE_CHECKING:
    import socket

    from heaptide.recorder.onscreen import OnScreen


def on_screen(path: Path) -> OnScreen:
    """The screen for a program that will be recorded to ``path``.

    Raises UsageError without a terminal in whose foreground we are, HeaptideError without textual.
    """
    from heaptide.recorder.onscreen import OnScreen, has_terminal

    if not has_terminal():
        raise UsageError(
            "--live needs a terminal to draw on: leave it out, and watch from another one "
            "with heaptide top"
        )
    require_textual(exit_status=125)
    return OnScreen(path, _view)


def _view(path: Path, link: socket.socket) -> int:
    """The viewer, a process of its own: its exit status."""
    from heaptide.cli.reading import prepare_to_read

    prepare_to_read(on_screen=True)
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        stream = open(("stdin", "stdout", "stderr").index(name), mode, closefd=False)  # noqa: SIM115
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)
    try:
        from heaptide.views.live.app import watch_program

        return watch_program(path, link)
    except Exception as error:
        print(f"heaptide: the live view ended: {describe(error)}", file=sys.stderr, flush=True)
        return 1


class Saying:
    """Lines on stderr, kept back as long as the screen has the terminal."""

    def __init__(self, say: Callable[[str], None], screen: OnScreen | None) -> None:
        self._say = say
        self._screen = screen
        self._kept: list[str] = []

    def __call__(self, line: str) -> None:
        if self._screen is not None and self._screen.watching:
            self._kept.append(line)
        else:
            self._say(line)

    def wait_for_terminal(self) -> None:
        """Until whoever looks at the screen has left it; then says what was kept back."""
        if self._screen is not None:
            self._screen.wait_left()
        for line in self._kept:
            self._say(line)
        self._kept.clear()
