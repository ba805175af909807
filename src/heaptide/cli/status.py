"""The status line on a terminal while a program is recorded.

The terminal belongs to the program. The line therefore lives in the bottom row, outside of the
scrolling region, and the cursor is put back after each update: what the program has written, half
lines and prompts included, stays as it was. While the program has the terminal in raw mode
(editors, pagers, line editing) or another job has it, the line goes away.
"""

from __future__ import annotations

import contextlib
import os
import termios
import time
from collections.abc import Callable

_SAVE, _RESTORE = "\x1b7", "\x1b8"
_DOWN_ONE, _UP_ONE = "\x1bD", "\x1b[1A"
_WHOLE_SCREEN = "\x1b[r"
_MIN_ROWS = 4
# Programs that are over sooner get no line: it would only flicker.
_FIRST_AFTER_SECONDS = 0.5


class StatusLine:
    """Draws ``text(columns)`` into the bottom row of the terminal ``fd``."""

    def __init__(self, fd: int, text: Callable[[int], str]) -> None:
        self._fd = fd
        self._text = text
        self._rows = 0  # of the terminal when the row was taken; 0: not taken
        self._due = time.monotonic() + _FIRST_AFTER_SECONDS

    def update(self) -> None:
        """Draws the line anew, or takes it away where it would disturb."""
        if time.monotonic() < self._due:
            return
        try:
            columns, rows = os.get_terminal_size(self._fd)
            if rows < _MIN_ROWS or not self._ours():
                self._give_back()
                return
            out = ""
            if rows != self._rows:
                self._give_back()
                out = _DOWN_ONE + _UP_ONE + _SAVE + f"\x1b[1;{rows - 1}r" + _RESTORE
                self._rows = rows
            line = self._text(columns)[: columns - 1]
            out += f"{_SAVE}\x1b[{rows};1H\x1b[2m{line}\x1b[0m\x1b[K{_RESTORE}"
            self._write(out)
        except (OSError, termios.error):
            self._rows = 0  # the terminal is gone

    def erase(self) -> None:
        """Gives the row back to the program's output."""
        with contextlib.suppress(OSError, termios.error):
            self._give_back()

    def _give_back(self) -> None:
        if not self._rows:
            return
        row, self._rows = self._rows, 0
        self._write(f"{_SAVE}{_WHOLE_SCREEN}\x1b[{row};1H\x1b[2K{_RESTORE}")

    def _ours(self) -> bool:
        """Whether this job is in the foreground and the terminal works line by line."""
        if os.tcgetpgrp(self._fd) != os.getpgrp():
            return False
        return bool(termios.tcgetattr(self._fd)[3] & termios.ICANON)

    def _write(self, text: str) -> None:
        os.write(self._fd, text.encode())


def wants_status_line(fd: int) -> bool:
    """Whether ``fd`` is a terminal that understands cursor movement."""
    return os.isatty(fd) and os.environ.get("TERM", "dumb") != "dumb"
