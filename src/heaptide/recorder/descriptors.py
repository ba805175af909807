"""File descriptors that heaptide got from its caller and gives to the program."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path


def inheritable() -> list[int]:
    """Descriptors that a started program would get."""
    result = []
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):  # the listing's own is closed by now
            if os.get_inheritable(int(entry.name)):
                result.append(int(entry.name))
    return result


def let_go() -> None:
    """Drops this process's copies of what the program has got, stderr excepted.

    The other end of a pipe then sees the program close it, not us: a reader its end, a writer that
    nobody reads.
    """
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    for fd in inheritable():
        if fd in (0, 1):
            os.dup2(null, fd)
        elif fd > 2:
            os.close(fd)
    if null > 2:
        os.close(null)
