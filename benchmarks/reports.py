"""Reading recordings of one program: heaptide's commands, and those of its peers."""

from __future__ import annotations

import importlib.util
import shutil
import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.building import PROGRAMS, build
from benchmarks.measure import run_once
from benchmarks.variants import HEAPTIDE, OBJECTS

Say = Callable[[str], None]

MOST_RSS = 300e6
TIMES_FASTER = 10.0

# Of a file that another tool has made, read event by event.
MOST_RSS_IMPORTING = 200e6
TIMES_FASTER_IMPORTING = 1.0


@dataclass(frozen=True)
class Report:
    """One command that reads a recording. Seconds and bytes, medians over the rounds."""

    program: str
    command: str
    own: bool
    seconds: float
    rss: int
    output_bytes: int  # of the file it makes; 0: it prints
    most_rss: float = MOST_RSS
    times_faster: float = TIMES_FASTER


def measure_reports(
    directory: Path, quick: bool, rounds: int, say: Say, skipped: list[str]
) -> list[Report]:
    """Records programs of 50 million allocations and more (quick: a tenth) with each tool, and
    reads the recordings in each way that the tool has."""
    found = _of_python(directory, quick, rounds, say, skipped)
    return found + _of_cpp(directory, quick, rounds, say, skipped)


def _of_python(
    directory: Path, quick: bool, rounds: int, say: Say, skipped: list[str]
) -> list[Report]:
    title = "Python, json loop"
    program = [str(PROGRAMS / "py_json.py"), "4500" if quick else "45000"]
    reports = _own(title, [sys.executable, *program], directory, rounds, say)
    if importlib.util.find_spec("memray") is None:
        skipped.append("memray's reports: memray is not installed (pip install memray)")
        return reports
    memray = [sys.executable, "-m", "memray"]
    capture = directory / "json.bin"
    run_once([*memray, "run", "-q", "-f", OBJECTS, "-o", str(capture), *program])
    page = directory / "json-memray.html"
    for name, words in (
        ("memray stats", ["stats", str(capture)]),
        ("memray summary", ["summary", str(capture)]),
        ("memray table", ["table", "-f", "-o", str(page), str(capture)]),
        ("memray flamegraph", ["flamegraph", "-f", "-o", str(page), str(capture)]),
    ):
        output = page if "-o" in words else None
        reports.append(_measure(title, name, [*memray, *words], 1, say, output))
    capture.unlink()
    return reports


def _of_cpp(
    directory: Path, quick: bool, rounds: int, say: Say, skipped: list[str]
) -> list[Report]:
    title = "C++, map and string churn"
    built = build("cpp_churn.cpp", directory)
    if built is None:
        skipped.append("reports of a C++ program: no C++ compiler")
        return []
    program = [str(built), "2000000" if quick else "20000000"]
    reports = _own(title, program, directory, rounds, say)
    if shutil.which("heaptrack") is None or shutil.which("heaptrack_print") is None:
        skipped.append("heaptrack_print: heaptrack is not installed")
        return reports
    output = directory / "churn-heaptrack"
    run_once(["heaptrack", "-o", str(output), *program])
    recording = next(directory.glob("churn-heaptrack.*"))
    reports.append(_measure(title, "heaptrack_print", ["heaptrack_print", str(recording)], 1, say))
    return reports + _importing(recording, rounds, say)


def _importing(recording: Path, rounds: int, say: Say) -> list[Report]:
    """heaptrack's own file: what it takes to read each of its events."""
    title = "C++, heaptrack's file"
    own = _measure(title, "heaptide show", [*HEAPTIDE, "show", str(recording)], rounds, say)
    own = replace(own, most_rss=MOST_RSS_IMPORTING, times_faster=TIMES_FASTER_IMPORTING)
    command = ["heaptrack_print", str(recording)]
    return [own, _measure(title, "heaptrack_print", command, rounds, say)]


def _own(
    title: str, program: Sequence[str], directory: Path, rounds: int, say: Say
) -> list[Report]:
    paths = [directory / "old.tide", directory / "new.tide"]
    for path in paths:
        run_once([*HEAPTIDE, "run", "-q", "-f", "-o", str(path), *program])
    old, new = map(str, paths)
    page = directory / "page.html"
    return [
        _measure(title, "heaptide show", [*HEAPTIDE, "show", new], rounds, say),
        _measure(title, "heaptide diff", [*HEAPTIDE, "diff", old, new], rounds, say),
        _measure(
            title,
            "heaptide report",
            [*HEAPTIDE, "report", "--force", "-o", str(page), new],
            rounds,
            say,
            page,
        ),
    ]


def _measure(
    title: str,
    name: str,
    command: Sequence[str],
    rounds: int,
    say: Say,
    output: Path | None = None,
) -> Report:
    runs = [run_once(command) for _ in range(rounds)]
    report = Report(
        title,
        name,
        name.startswith("heaptide"),
        statistics.median(run.wall for run in runs),
        max(run.max_rss for run in runs),
        0 if output is None else output.stat().st_size,
    )
    say(f"{title}, {name}: {report.seconds:.2f} s, {report.rss / 1e6:.0f} MB")
    return report
