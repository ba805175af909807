"""Foreign files changed: the ways in which they come broken, or are made to break readers."""

from __future__ import annotations

import random
import re

NUMBERS = (
    b"0", b"1", b"-1", b"7fffffff", b"2147483648", b"ffffffffffffffff", b"18446744073709551615",
    b"99999999999999999999999999", b"4611686018427387904", b"1e999", b"0.5", b"nan", b"", b"zz",
)  # fmt: skip
_NUMBER = re.compile(rb"\b[0-9a-fA-F]{1,18}\b")


def mutated(data: bytes, seed: int, most: int = 200_000) -> bytes:
    """``data`` with one to four changes: of a number, a line, a byte, or its end."""
    rng = random.Random(seed)
    for _ in range(rng.randint(1, 4)):
        data = rng.choice((_number, _number, _line, _byte, _cut, _repeat, _swap))(data, rng)
    return data[:most]


def _number(data: bytes, rng: random.Random) -> bytes:
    start = rng.randrange(len(data) + 1)
    match = _NUMBER.search(data, start) or _NUMBER.search(data)
    if match is None:
        return data
    return data[: match.start()] + rng.choice(NUMBERS) + data[match.end() :]


def _line(data: bytes, rng: random.Random) -> bytes:
    lines = data.split(b"\n")
    row = rng.randrange(len(lines))
    if rng.random() < 0.5:
        del lines[row]
    else:
        lines.insert(row, lines[rng.randrange(len(lines))])
    return b"\n".join(lines)


def _byte(data: bytes, rng: random.Random) -> bytes:
    if not data:
        return b"\xff"
    at = rng.randrange(len(data))
    return data[:at] + bytes([rng.randrange(256)]) + data[at + 1 :]


def _cut(data: bytes, rng: random.Random) -> bytes:
    return data[: rng.randrange(len(data) + 1)]


def _repeat(data: bytes, rng: random.Random) -> bytes:
    if not data:
        return data
    at = rng.randrange(len(data))
    part = data[at : at + rng.randint(1, 40)]
    return data[:at] + part * rng.choice((2, 50, 2000)) + data[at:]


def _swap(data: bytes, rng: random.Random) -> bytes:
    lines = data.split(b"\n")
    a, b = rng.randrange(len(lines)), rng.randrange(len(lines))
    lines[a], lines[b] = lines[b], lines[a]
    return b"\n".join(lines)
