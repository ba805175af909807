"""Running the commands in turn, and what each run has told."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from heaptide.errors import HeaptideError, LaunchError
from heaptide.recorder.target import plain_command

from ._failing import ended, said
from ._figures import Figure, Reading, of_recording
from ._process import NO_RSS, Stream, ending_with_us, run_once, start

BASE, NEW = "base", "new"

Progress = Callable[[int, int, str], None]
Readings = dict[str, list[Reading]]  # of each figure, in the order of the runs


@dataclass(frozen=True)
class Side:
    """One of the two commands, and where it runs. ``changes``: to the environment."""

    name: str  # BASE or NEW
    words: tuple[str, ...]
    cwd: Path
    changes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Plan:
    """How to measure. ``environment``: of our own, which the changes of a side go over."""

    figures: Sequence[Figure]
    runs: int
    warmup: int
    environment: Mapping[str, str]
    sample: int | None = None  # bytes; None: every allocation
    ignore_status: bool = False
    output: Stream = subprocess.DEVNULL  # where what the programs print goes
    show: bool = False  # what they write to standard error, on ours
    keep: Path | None = None  # where the last recording of each side is to stay


def measure(
    sides: Sequence[Side], plan: Plan, progress: Progress | None = None
) -> dict[str, Readings]:
    """The readings of each side, by its name.

    In each round every side runs once as it is and once recorded, and the next round has the sides
    the other way round: what drifts, drifts for both. Raises HeaptideError: a run has failed.
    """
    with tempfile.TemporaryDirectory(prefix="heaptide-bench-") as directory:
        return _Measuring(sides, plan, Path(directory), progress).rounds()


class _Measuring:
    def __init__(
        self, sides: Sequence[Side], plan: Plan, directory: Path, progress: Progress | None
    ) -> None:
        self._sides, self._plan, self._directory = sides, plan, directory
        self._plain = any(not figure.recorded for figure in plan.figures)
        self._recorded = any(figure.recorded for figure in plan.figures)
        kinds = self._plain + self._recorded
        self._total = len(sides) * (plan.warmup + plan.runs * kinds)
        self._done = 0
        self._progress = progress

    def rounds(self) -> dict[str, Readings]:
        found: dict[str, Readings] = {
            side.name: {figure.name: [] for figure in self._plan.figures} for side in self._sides
        }
        for side in self._sides:
            self._command(side)
        for _ in range(self._plan.warmup):
            for side in self._sides:
                self._tell(side, 0)
                self._run(side, 0)
        for number in range(1, self._plan.runs + 1):
            order = self._sides if number % 2 else self._sides[::-1]
            for measured, of in ((self._plain, self._run), (self._recorded, self._record)):
                for side in order if measured else ():
                    self._tell(side, number)
                    for name, reading in of(side, number).items():
                        if name in found[side.name]:
                            found[side.name][name].append(reading)
        return found

    def _tell(self, side: Side, number: int) -> None:
        if self._progress is not None:
            self._progress(self._done, self._total, f"{side.name} {_when(number)}")
        self._done += 1

    def _run(self, side: Side, number: int) -> dict[str, Reading]:
        """One run as it is."""
        argv, env = self._command(side), self._env(side)
        with self._errors() as errors:
            took = run_once(argv, cwd=side.cwd, env=env, out=self._plan.output, err=errors)
            self._must_succeed(took.status, side, number, errors)
        rss = Reading(took.peak_rss, "" if took.peak_rss else NO_RSS)
        return {"wall": Reading(took.wall), "cpu": Reading(took.cpu), "peak_rss": rss}

    def _env(self, side: Side) -> dict[str, str]:
        return {**self._plan.environment, **side.changes}

    def _command(self, side: Side) -> tuple[str, ...]:
        """Raises HeaptideError, in better words than a run would end with."""
        try:
            return plain_command(side.words, side.cwd, self._env(side).get("PATH"))
        except LaunchError as error:
            raise HeaptideError(f"{side.name}: {error.message}") from None

    def _record(self, side: Side, number: int) -> dict[str, Reading]:
        """One recorded run."""
        plan = self._plan
        last = plan.keep is not None and number == plan.runs
        path = (plan.keep if last and plan.keep else self._directory) / f"{side.name}.tide"
        options = ["-q", "-o", str(path.absolute())]
        options += [] if last else ["--no-symbols"]
        options += ["--sample", str(plan.sample)] if plan.sample else []
        told = {
            "cwd": str(side.cwd),
            "env": dict(side.changes),
            "words": [*options, "--", *side.words],
        }
        argv = [sys.executable, "-m", "heaptide.bench._recorder", json.dumps(told)]
        with self._errors() as errors, ending_with_us():
            process = start(argv, cwd=Path(), env=plan.environment, out=plan.output, err=errors)
            status = process.wait()
            if not path.exists():
                raise HeaptideError(
                    f"{side.name}: nothing was recorded of {side.words[0]} {_when(number)}: it "
                    f"{ended(status)}{said(errors)}"
                )
            self._must_succeed(status, side, number, errors)
        found = of_recording(path, plan.figures)
        if not last:
            path.unlink()
        if found and all(reading.value is None for reading in found.values()):
            why = ", ".join(dict.fromkeys(reading.reason for reading in found.values()))
            raise HeaptideError(
                f"{side.name}: {side.words[0]} was not measured {_when(number)}: {why}; "
                "--no-recording measures peak RSS and times without it"
            )
        return found

    @contextmanager
    def _errors(self) -> Iterator[IO[bytes] | None]:
        """What a program writes to standard error, to be told if it fails; None: it is shown."""
        if self._plan.show:
            yield None
            return
        with tempfile.TemporaryFile(dir=self._directory) as file:
            yield file

    def _must_succeed(self, status: int, side: Side, number: int, errors: IO[bytes] | None) -> None:
        if status == 0 or (status > 0 and self._plan.ignore_status):
            return
        hint = "what a run that fails does with memory says nothing: mend it"
        if status > 0:
            hint += ", or measure it all the same with --ignore-status"
        raise HeaptideError(
            f"{side.name}: {side.words[0]} {ended(status)} {_when(number)}{said(errors)}; {hint}"
        )


def _when(number: int) -> str:
    return f"in run {number}" if number else "in a run to warm up"
