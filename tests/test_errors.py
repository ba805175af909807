"""Errors are one line, whatever names they quote, and know their exit status."""

from __future__ import annotations

import os
import subprocess

import pytest

from heaptide import errors
from heaptide._printable import shell_word


def test_message_is_one_line() -> None:
    """Line breaks and escapes in a foreign file name do not reach the terminal."""
    error = errors.RecordingError("cannot open 'a\nb\x1b[31m'; check\tthe path")
    assert r"cannot open 'a b\x1b[31m'; check the path" == str(error) == error.message


def test_names_can_be_told_apart() -> None:
    """Bytes that are no text, and characters that cannot be seen, are still in the message."""
    assert errors.HeaptideError("\udcff\udcfe: \u202e \U000e0041").message == (
        r"\xff\xfe: \u202e \U000e0041"
    )


@pytest.mark.parametrize(
    "name",
    ["a.tide", "a b", "it's", "-x.tide", "\xe9", "\udcffz\x1b[31m\n.tide", "\\'\n7", "\u202e"],
)
def test_names_for_a_shell(name: str) -> None:
    """What is to be typed gives the very name, and shows no control characters."""
    word = shell_word(name)
    assert word.isprintable()
    made = subprocess.run(["bash", "-c", f"printf %s {word}"], capture_output=True, check=True)
    assert os.path.normpath(made.stdout) == os.fsencode(name)
    assert not made.stdout.startswith(b"-")


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
