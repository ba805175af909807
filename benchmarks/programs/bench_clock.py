"""The time of a benchmark's own work, in the form of clock.h."""

from __future__ import annotations

import json
import resource
import sys
import time


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
            "rss": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        }
        print("benchmark", json.dumps(figures), file=sys.stderr)
