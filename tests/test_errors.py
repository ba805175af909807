"""Errors are one line, whatever names they quote, and know their exit status."""

from __future__ import annotations

import pytest

from heaptide import errors


def test_message_is_one_line() -> None:
    """Line breaks and escapes in a foreign file name do not reach the terminal."""
    error = errors.RecordingError("cannot open 'a\nb\x1b[31m'; check\tthe path")
    assert "cannot open 'a b [31m'; check the path" == str(error) == error.message


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        (errors.HeaptideError, 1),
        (errors.RecordingError, 1),
        (errors.LaunchError, 126),
        (errors.SymbolError, 1),
        (errors.UsageError, 2),
        (errors.OutputError, 1),
    ],
)
def test_exit_status(kind: type[errors.HeaptideError], status: int) -> None:
    assert issubclass(kind, errors.HeaptideError)
    assert status == kind("x").exit_status
    assert kind("x", exit_status=77).exit_status == 77
