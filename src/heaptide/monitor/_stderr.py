"""The program's stderr, which it has for itself: it is never waited for."""

from __future__ import annotations

import contextlib
import select
import sys


def has_room() -> bool:
    """Whether a line can be written, and at once. A pipe that nobody empties takes no more when it
    is full: a thread that waits for it keeps the stream's lock, and with it the end of the program.
    """
    stream = sys.stderr
    if stream is None:
        return False
    try:
        number = stream.fileno()
    except Exception:
        return True  # nothing of the kernel's, but something that the program has put there
    try:
        poll = select.poll()
        poll.register(number, select.POLLOUT)
        return [event for _, event in poll.poll(0)] == [select.POLLOUT]
    except (OSError, ValueError):  # it is closed
        return False


def tell(text: str) -> None:
    """A line of our own. Never raises."""
    if has_room():
        with contextlib.suppress(Exception):  # whatever the program has put there
            sys.stderr.write(f"heaptide: {text}\n")
