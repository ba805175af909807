"""Memory of the recorder's two halves: the agent inside the program, the collector beside it."""

from __future__ import annotations

import contextlib
import statistics
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.building import build
from benchmarks.measure import run_once
from benchmarks.variants import HEAPTIDE

Say = Callable[[str], None]

BLOCKS = (100_000, 200_000, 1_000_000, 5_000_000)
"""Live blocks at which the collector is measured: its table is fullest and emptiest in between."""


@dataclass(frozen=True)
class Memory:
    """One figure in bytes, and what it is to stay within."""

    name: str
    bytes: float
    goal: float | None


def measure_memory(directory: Path, quick: bool, rounds: int, say: Say) -> list[Memory]:
    """Figures of both halves; none without a C compiler."""
    program = build("blocks.c", directory)
    if program is None:
        return []
    sizes = BLOCKS[:1] if quick else BLOCKS
    result = [*_agent(program, rounds, directory), *_collector(program, sizes, directory)]
    for memory in result:
        say(f"{memory.name}: {memory.bytes:,.1f} bytes")
    return result


def _agent(program: Path, rounds: int, directory: Path) -> list[Memory]:
    own = ("run", "-q", "-f", "--no-symbols", "-o", str(directory / "blocks.tide"))

    def added(threads: int) -> float:
        # A moderate number of blocks: enough to fill the rings.
        command = [str(program), "200000", str(threads)]
        values = []
        for _ in range(rounds):
            base = run_once(command).inner_rss
            values.append(run_once([*HEAPTIDE, *own, *command]).inner_rss - base)
        return statistics.median(values)

    one, nine = added(1), added(9)
    return [
        Memory("agent, resident in a program of 2 threads", one, 6e6),
        Memory("agent, for each further thread", (nine - one) / 8, 0.5e6),
    ]


def _collector(program: Path, sizes: Sequence[int], directory: Path) -> list[Memory]:
    few = _collector_peak([str(program), "1000", "1"], directory)
    result = [Memory("collector, resident, a small program", few, 30e6)]
    for many in sizes:
        full = _collector_peak([str(program), str(many), "1"], directory)
        name = f"collector, for each of {many:,} live blocks"
        result.append(Memory(name, (full - few) / many, 40))
    return result


def _collector_peak(command: list[str], directory: Path) -> float:
    """The most memory that the collector has held while it recorded ``command``.

    By the kernel's own high-water mark, so that what it holds for a moment while tables grow
    counts; less the rings, which are the agents' and counted there.
    """
    output = directory / "blocks.tide"
    own = ("run", "-q", "-f", "--no-symbols", "-o", str(output))
    highest = rings = 0
    with subprocess.Popen(
        [*HEAPTIDE, *own, *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as recorder:
        collector = None
        while recorder.poll() is None:
            collector = collector or _child(recorder.pid, "heaptide-collec")
            if collector is not None:
                highest = max(highest, _status(collector, "VmHWM"))
                rings = max(rings, _status(collector, "RssShmem"))
            time.sleep(0.002)
    return highest - rings


def _child(pid: int, name: str) -> int | None:
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError):
            before, _, after = (entry / "stat").read_text().rpartition(") ")
            if int(after.split()[1]) == pid and before.endswith(f"({name}"):
                return int(entry.name)
    return None


def _status(pid: int, field: str) -> int:
    """A size in bytes of ``/proc/PID/status``; 0 once the process is gone."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith(f"{field}:"):
                return int(line.split()[1]) * 1024
    return 0
