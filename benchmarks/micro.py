"""What the agent adds to one malloc and its free, in nanoseconds."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.building import PROGRAMS, build
from benchmarks.measure import run_once
from benchmarks.variants import HEAPTIDE

Say = Callable[[str], None]


@dataclass(frozen=True)
class Pair:
    """Nanoseconds added to a pair of malloc and free, over the same program run plainly.

    CPU time of the program's process, which is what the agent costs it; and on the wall clock,
    where the program waits for the collector when that is slower.
    """

    name: str
    plain: float
    added: float
    low: float
    high: float
    added_wall: float
    goal: float | None


@dataclass(frozen=True)
class _Case:
    name: str
    program: list[str]
    options: tuple[str, ...] | None  # None: the agent is loaded, and there is no session
    goal: float | None


def _cases(directory: Path, pairs: int) -> list[_Case]:
    program = build("pairs.c", directory)
    library = build("pairs.c", directory, "-fPIC", "-shared", name="pairs.so")
    if program is None or library is None:
        return []
    python = [sys.executable, str(PROGRAMS / "py_pairs.py"), str(library)]
    found = []
    for mode, words in (("tight", "freed at once"), ("set", "4096 live blocks")):

        def native(depth: int, mode: str = mode) -> list[str]:
            return [str(program), mode, str(pairs), str(depth)]

        tight = mode == "tight"
        python_here = [*python, mode, str(pairs)]
        found += [
            _Case(f"agent loaded, not recording; {words}", native(0), None, 1.5),
            _Case(f"events; {words}", native(0), ("--native", "off"), 4.0),
            _Case(
                f"events and Python stack, 14 deep; {words}", python_here, ("--native", "off"), 16.0
            ),
            _Case(f"events and native stack, 10 deep; {words}", native(6), (), 35.0),
            _Case(f"events and native stack, 25 deep; {words}", native(21), (), None),
            _Case(
                f"events, Python and native stack; {words}", python_here, ("--native", "all"), None
            ),
        ]
        if tight:
            found.append(
                _Case(f"sampled at 512 KiB; {words}", native(0), ("--sample", "512KiB"), None)
            )
    return found


def _nanoseconds(command: Sequence[str], env: dict[str, str] | None = None) -> tuple[float, float]:
    """CPU time and wall clock of a pair."""
    run = run_once(command, env)
    return run.inner_cpu / run.operations * 1e9, run.inner_wall / run.operations * 1e9


def measure_pairs(directory: Path, quick: bool, rounds: int, say: Say) -> list[Pair]:
    """All cases, each round beside a plain run of its own."""
    from heaptide.recorder.native import agent_path

    output = directory / "pairs.tide"
    result = []
    for case in _cases(directory, 5_000_000 if quick else 50_000_000):
        plain, added, added_wall = [], [], []
        for _ in range(rounds):
            base, base_wall = _nanoseconds(case.program)
            if case.options is None:
                got, wall = _nanoseconds(case.program, {"LD_PRELOAD": str(agent_path())})
            else:
                own = ("run", "-q", "-f", "--no-symbols", "-o", str(output), *case.options)
                got, wall = _nanoseconds([*HEAPTIDE, *own, *case.program])
            plain.append(base)
            added.append(got - base)
            added_wall.append(wall - base_wall)
        pair = Pair(
            case.name,
            statistics.median(plain),
            statistics.median(added),
            min(added),
            max(added),
            statistics.median(added_wall),
            case.goal,
        )
        say(f"{pair.name}: {pair.plain:.1f} ns plain, {pair.added:+.1f} ns")
        result.append(pair)
    return result
