"""The program's streams, which it has for itself: they are never waited for.

A pipe that nobody empties takes no more when it is full: a thread that waits for it keeps the
stream's lock, and with it the end of the program.
"""

from __future__ import annotations

import contextlib
import select
import sys
from typing import Any


def has_room() -> bool:
    """Whether a line can be written to stderr, and at once."""
    return sys.stderr is not None and _events(sys.stderr) in (None, [select.POLLOUT])


def is_full(stream: Any) -> bool:
    """Whether who writes a line would wait."""
    return _events(stream) == []


def tell(text: str) -> None:
    """A line of our own. Never raises."""
    if has_room():
        with contextlib.suppress(Exception):  # whatever the program has put there
            sys.stderr.write(f"heaptide: {text}\n")


def _events(stream: Any) -> list[int] | None:
    """What the kernel says of it. None: it is nothing of the kernel's."""
    try:
        number = stream.fileno()
    except Exception:
        return [select.POLLNVAL] if getattr(stream, "closed", False) is True else None
    try:
        poll = select.poll()
        poll.register(number, select.POLLOUT)
        return [event for _, event in poll.poll(0)]
    except (OSError, ValueError, TypeError):
        return [select.POLLNVAL]
