"""Objects too large to be had: MemoryError, caught; no memory was allocated."""

from __future__ import annotations

HUGE = 64 << 40


def ask(times: int, size: int) -> int:
    refused = 0
    for _ in range(times):
        try:
            b"x" * size
        except MemoryError:
            refused += 1
        try:
            bytes(size)
        except MemoryError:
            refused += 1
        try:
            "x" * size
        except MemoryError:
            refused += 1
        try:
            [None] * size
        except MemoryError:
            refused += 1
    return refused


if __name__ == "__main__":
    assert ask(6, HUGE) == 24
