"""The errors a person meets. Each message is one line: what went wrong, where, what to do next."""

from __future__ import annotations

from typing import ClassVar

from heaptide._printable import printable


class HeaptideError(Exception):
    """Base of all errors that heaptide raises on purpose.

    The command line prints the message after ``heaptide: `` and exits with `exit_status`.
    White space in `message` is folded into single spaces, and what cannot be shown (of a foreign
    file name, say) is written as ``\\xNN``, so that the message stays one line.
    """

    default_exit_status: ClassVar[int] = 1

    def __init__(self, message: str, *, exit_status: int | None = None) -> None:
        self.message = printable(" ".join(message.split()))
        self.exit_status = self.default_exit_status if exit_status is None else exit_status
        super().__init__(self.message)


class RecordingError(HeaptideError):
    """A recording is missing, foreign, corrupt, or newer than this reader."""


class LaunchError(HeaptideError):
    """The program cannot be started or recorded.

    Statuses follow the shell: 127 for a program that does not exist, 126 for one that cannot be
    executed.
    """

    default_exit_status = 126


class SymbolError(HeaptideError):
    """Debug information cannot be read or fetched."""


class UsageError(HeaptideError):
    """The command line, or an argument of the API, makes no sense."""

    default_exit_status = 2


class OutputError(HeaptideError):
    """A result cannot be written."""
