"""A terminal with a program on it."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import termios
from collections.abc import Callable, Mapping

import pyte

ROWS, COLUMNS = 12, 80


class Terminal:
    """A program on a terminal of its own, as its session leader's foreground job."""

    def __init__(
        self, words: list[str], environment: Mapping[str, str] | None = None, rows: int = ROWS
    ) -> None:
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", rows, COLUMNS, 0, 0))
            os.execve(words[0], words, environment or {**os.environ, "TERM": "xterm"})
        self.seen = b""
        self.screen = pyte.Screen(COLUMNS, rows)
        self._stream = pyte.ByteStream(self.screen)

    def _read(self, draw: bool = True) -> bool:
        try:
            data = os.read(self.fd, 65536)
        except OSError:
            return False
        self.seen += data
        if draw:
            self._stream.feed(data)
        return bool(data)

    def until(self, condition: Callable[[], bool]) -> None:
        """Reads until ``condition`` holds. Fails if the program ends before."""
        try:
            while not condition():
                assert self._read(), self.seen
        except BaseException:  # the timeout of the test
            print("\n".join(self.screen.display))
            raise

    def until_text(self, text: bytes) -> None:
        self.until(lambda: text in self.seen)

    def row(self, number: int) -> str:
        return str(self.screen.display[number]).rstrip()

    def type(self, keys: bytes) -> None:
        os.write(self.fd, keys)

    def wait(self, *, draw: bool = True) -> int:
        """Reads to the program's end; its status as subprocess has it. ``draw``: onto the screen,
        which takes a second for 100 kB."""
        while self._read(draw):
            pass
        _, status = os.waitpid(self.pid, 0)
        os.close(self.fd)
        return -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
