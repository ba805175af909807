"""A long recording: its size on disk, and what it takes to show it."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.building import build
from benchmarks.measure import run_once
from benchmarks.variants import HEAPTIDE

Say = Callable[[str], None]


@dataclass(frozen=True)
class Reading:
    """One recording, read. Seconds and bytes."""

    allocations: int
    file_bytes: int
    show_seconds: float
    show_rss: int
    json_seconds: float
    json_rss: int

    @property
    def bytes_per_allocation(self) -> float:
        return self.file_bytes / self.allocations


def measure_reading(directory: Path, quick: bool, rounds: int, say: Say) -> Reading | None:
    """Records a program of 100 million allocations (quick: two) and shows it; None without a C
    compiler."""
    program = build("many.c", directory)
    if program is None:
        return None
    count = 2_000_000 if quick else 100_000_000
    output = directory / "many.tide"
    run_once([*HEAPTIDE, "run", "-q", "-f", "-o", str(output), str(program), str(count)])
    shows = [run_once([*HEAPTIDE, "show", str(output)]) for _ in range(rounds)]
    jsons = [run_once([*HEAPTIDE, "show", "--json", str(output)]) for _ in range(rounds)]
    reading = Reading(
        count,
        output.stat().st_size,
        statistics.median(run.wall for run in shows),
        max(run.max_rss for run in shows),
        statistics.median(run.wall for run in jsons),
        max(run.max_rss for run in jsons),
    )
    say(
        f"{count:,} allocations: {reading.file_bytes:,} bytes, show {reading.show_seconds:.2f} s, "
        f"{reading.show_rss / 1e6:.0f} MB"
    )
    return reading
