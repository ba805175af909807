"""The time of a benchmark's own work, in the form of clock.h."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path


def greatest_rss() -> int:
    """Bytes, since exec; getrusage would count what was there before it."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))


class Clock:
    """Runs from its creation to ``report``."""

    def __init__(self) -> None:
        self._wall = time.perf_counter()
        self._cpu = time.process_time()

    def report(self, operations: int) -> None:
        """Writes seconds of wall clock and CPU, operations, and the greatest resident set."""
        figures = {
            "wall": time.perf_counter() - self._wall,
            "cpu": time.process_time() - self._cpu,
            "operations": operations,
            "rss": greatest_rss(),
        }
        print("benchmark", json.dumps(figures), file=sys.stderr)


def timed() -> Iterator[tuple[int, ...]]:
    """The program's arguments, of which the first is how often: for a twentieth of that, which warms
    up, and then for all of it, which is timed."""
    count, *others = (int(argument) for argument in sys.argv[1:])
    yield (count // 20, *others)
    clock = Clock()
    yield (count, *others)
    clock.report(count)
