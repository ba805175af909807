"""Running a command once and what it took; ratios to unprofiled runs beside it."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_TAG = b"benchmark {"


@dataclass(frozen=True)
class Run:
    """One run of a command. Seconds and bytes."""

    wall: float  # of the whole command
    all_cpu: float  # of the command and every process it waited for
    max_rss: int  # of the largest of these processes
    inner_wall: float  # of the program's own work, as it measured itself
    inner_cpu: float  # likewise; its wall clock where it cannot tell (one thread)
    operations: int
    inner_rss: int  # greatest resident set of the program, 0 if it did not say


class CommandFailedError(Exception):
    """A command of the benchmark ended with an error."""


def run_once(command: Sequence[str], env: Mapping[str, str] | None = None) -> Run:
    """Runs a command to its end and measures it.

    Raises:
        CommandFailedError: it ended with an error, or never reported its own figures.
    """
    with tempfile.TemporaryFile() as errors:
        start = time.perf_counter()
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            env={**os.environ, **(env or {})},
        )
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        errors.seek(0)
        said = errors.read()
    if process.returncode != 0:
        tail = said.decode(errors="replace")[-2000:]
        raise CommandFailedError(f"{' '.join(command)}: status {process.returncode}\n{tail}")
    figures = _reported(said)
    inner_wall = float(figures.get("wall", wall))
    return Run(
        wall=wall,
        all_cpu=usage.ru_utime + usage.ru_stime,
        max_rss=usage.ru_maxrss * 1024,
        inner_wall=inner_wall,
        inner_cpu=float(figures.get("cpu", inner_wall)),
        operations=int(figures.get("operations", 0)),
        inner_rss=int(figures.get("rss", 0)),
    )


def _reported(said: bytes) -> dict[str, float]:
    at = said.rfind(_TAG)
    if at < 0:
        return {}
    found: dict[str, float] = json.loads(said[at + len(_TAG) - 1 :].split(b"\n")[0])
    return found


@dataclass(frozen=True)
class Ratio:
    """A ratio over several pairs of runs."""

    median: float
    low: float
    high: float
    pairs: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Ratio:
        return cls(statistics.median(values), min(values), max(values), len(values))


_STEADY = 0.1


@dataclass(frozen=True)
class Beside:
    """A run, and the unprofiled runs right before and after it."""

    run: Run
    before: Run
    after: Run

    def ratio(self, name: str) -> float:
        """One of RATIOS, over the mean of both unprofiled runs."""
        base = (getattr(self.before, name) + getattr(self.after, name)) / 2
        return float(getattr(self.run, name) / max(base, 1e-9))

    @property
    def is_steady(self) -> bool:
        """Whether the machine was as fast after the run as before it, to a tenth."""
        first, last = sorted((self.before.inner_wall, self.after.inner_wall))
        return last - first <= _STEADY * first


def fastest(runs: Sequence[Beside]) -> float:
    """The program's own time in the fastest run, over the fastest unprofiled one."""
    base = min(min(one.before.inner_wall, one.after.inner_wall) for one in runs)
    return min(one.run.inner_wall for one in runs) / max(base, 1e-9)


RATIOS = ("inner_wall", "inner_cpu", "wall", "all_cpu")
"""The figures that are compared with those of unprofiled runs."""


def ratios(runs: Sequence[Beside]) -> dict[str, Ratio]:
    """Each of RATIOS, over the runs."""
    return {name: Ratio.of([run.ratio(name) for run in runs]) for name in RATIOS}
