"""Sizes and times as people write them, and where our options end."""

from __future__ import annotations

import click
import pytest

from heaptide.cli.params import DurationType, PercentType, SizeType
from heaptide.cli.run import split_at_program

pytestmark = pytest.mark.interpreters


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1", 1),
        ("4096", 4096),
        ("512KiB", 512 << 10),
        ("512 kib", 512 << 10),
        ("1MB", 1_000_000),
        ("1.5MB", 1_500_000),
        ("2g", 2_000_000_000),
        ("1GiB", 1 << 30),
        (".5k", 500),
        ("10B", 10),
    ],
)
def test_size(text: str, expected: int) -> None:
    assert SizeType().convert(text, None, None) == expected


@pytest.mark.parametrize(
    "text",
    ["", "0", "-1", "1TBB", "MB", "1,5MB", "1e6", "0x10", "0.1", "∞", "2000000000GiB", "9" * 400],
)
def test_no_size(text: str) -> None:
    with pytest.raises(click.BadParameter):
        SizeType().convert(text, None, None)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90", 90),
        ("500ms", 0.5),
        ("10s", 10),
        ("5min", 300),
        ("5m", 300),
        ("2h", 7200),
        ("0", 0),
        ("9" * 400, 1e9),
    ],
)
def test_duration(text: str, expected: float) -> None:
    assert DurationType().convert(text, None, None) == pytest.approx(expected)


@pytest.mark.parametrize("text", ["", "-1s", "1 week", "s", "nan", "inf"])
def test_no_duration(text: str) -> None:
    with pytest.raises(click.BadParameter):
        DurationType().convert(text, None, None)


@pytest.mark.parametrize("text", ["nan", "-nan", "inf", "-1", "101", "x"])
def test_no_percentage(text: str) -> None:
    assert PercentType().convert("0.5", None, None) == 0.5
    with pytest.raises(click.BadParameter):
        PercentType().convert(text, None, None)


VALUED = {"-o", "--output", "--sample"}


@pytest.mark.parametrize(
    ("line", "options", "words"),
    [
        ("a.py -q", "", "a.py -q"),
        ("-q a.py", "-q", "a.py"),
        ("-o x a.py -o y", "-o x", "a.py -o y"),
        ("-ox a.py", "-ox", "a.py"),
        ("-qo x a.py", "-qo x", "a.py"),
        ("-qfo x a.py", "-qfo x", "a.py"),
        ("--output x a.py", "--output x", "a.py"),
        ("--output=x a.py", "--output=x", "a.py"),
        ("-m mod -q", "", "-m mod -q"),
        ("-q -m mod -q", "-q", "-m mod -q"),
        ("-qm mod", "-q", "-m mod"),
        ("-mmod -q", "", "-mmod -q"),
        ("-c code -o", "", "-c code -o"),
        ("-o -m a.py", "-o -m", "a.py"),
        ("-- -m", "", "-m"),
        ("-q -- a.py -- b", "-q", "a.py -- b"),
        ("- x", "", "- x"),
        ("-q", "-q", ""),
        ("-o", "-o", ""),
    ],
)
def test_where_options_end(line: str, options: str, words: str) -> None:
    """Each option's value is known for one, and the program's words are never looked at."""
    assert split_at_program(line.split(), VALUED) == (options.split(), words.split())
