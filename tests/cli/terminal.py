"""A terminal with a program on it."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import termios
from collections.abc import Callable, Mapping
from typing import ClassVar

import pyte
from tests.support.strays import kill_tree

ROWS, COLUMNS = 12, 80


class Terminal:
    """A program on a terminal of its own, as its session leader's foreground job. One that was
    not waited for is killed at the end of the test."""

    _open: ClassVar[list[Terminal]] = []

    def __init__(
        self, words: list[str], environment: Mapping[str, str] | None = None, rows: int = ROWS
    ) -> None:
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", rows, COLUMNS, 0, 0))
            os.execve(words[0], words, environment or {**os.environ, "TERM": "xterm"})
        self._open.append(self)
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
        status = self._reap()
        self._close()
        return status

    def hang_up(self) -> int:
        """Takes the terminal away; the program's status as of ``wait``."""
        self._close()
        return self._reap()

    def _close(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def _reap(self) -> int:
        _, status = os.waitpid(self.pid, 0)
        self._open.remove(self)
        return -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)

    @classmethod
    def kill_all(cls) -> None:
        """What is left after a test that has failed."""
        while cls._open:
            one = cls._open[-1]
            kill_tree(one.pid)
            one._reap()
            one._close()
