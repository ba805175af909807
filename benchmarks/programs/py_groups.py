"""Strings in a dict of lists, until they take tens of megabytes. usage: py_groups.py ITERATIONS"""

from __future__ import annotations

from bench_clock import timed

KEPT = 400_000


def group(numbers: range) -> dict[int, list[str]]:
    groups: dict[int, list[str]] = {}
    for number in numbers:
        groups.setdefault(number % 20_000, []).append(str(number))
    return groups


def run(iterations: int) -> int:
    kept = 0
    for start in range(0, iterations, KEPT):
        kept += len(group(range(start, min(start + KEPT, iterations))))
    return kept


if __name__ == "__main__":
    for arguments in timed():
        run(*arguments)
