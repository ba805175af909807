"""docs/performance.md, from what was measured."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

from benchmarks.measure import Ratio
from benchmarks.memory import Memory
from benchmarks.micro import Pair
from benchmarks.page import PageFigure
from benchmarks.reading import Reading
from benchmarks.reports import Report
from benchmarks.slowdown import Slowdown


@dataclass
class Results:
    """Everything that a run of the benchmarks found."""

    processor: str
    memory: int
    versions: dict[str, str]
    quick: bool
    rounds: int
    handovers: list[float] = field(default_factory=list)  # nanoseconds, before each program
    slowdowns: list[Slowdown] = field(default_factory=list)
    pairs: list[Pair] = field(default_factory=list)
    memories: list[Memory] = field(default_factory=list)
    reading: Reading | None = None
    page: list[PageFigure] = field(default_factory=list)
    reports: list[Report] = field(default_factory=list)
    collector: list[tuple[str, float]] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)


_METHOD = """\
Every figure comes from `python -m benchmarks.run`. A ratio compares a run with the unprofiled runs
of the same program right before and after it (their mean), and is the median over the rounds, with
the lowest and the highest; the runs of all tools are interleaved. Where those two differ by more
than a tenth, the machine was busy with something else: the run is not counted, and made again.
*Own time* is the wall clock of the program's work as it measures itself, *own CPU* the CPU time of
its process meanwhile; *fastest* compares the fastest of all runs with the fastest unprofiled one;
*command* is the wall clock of the whole command, start-up and end of the recorder included, and
*all CPU* the CPU time of all its processes, the collector included. Symbols are looked up after the
recording and are not counted. Other tools take part in a quarter of the rounds.
"""


_PAIRS_METHOD = """\
CPU time of the program's process: what the agent costs it. On the wall clock a program that does
nothing but this also waits for the collector, which takes about as many events a second as are
given below.
"""


_PAGE_METHOD = """\
In headless Chromium, drawn by the processor. *Until it answers*: from the end of loading the file
to the first picture. A zoom and a search: from the click or the key to the picture.
"""

_READING_METHOD = """\
Each tool reads what it has itself recorded of the same program, of 50 million allocations and more:
wall clock and greatest resident memory of the command. Commands of other tools are run once.
"""


def markdown(results: Results) -> str:
    """The page."""
    parts = ["# Performance", "", _METHOD, *_machine(results)]
    if results.quick:
        parts += ["", "**Quick run: programs this short say little.**"]
    parts += _slowdowns(results.slowdowns)
    parts += _pairs(results.pairs)
    parts += _collector(results.collector)
    parts += _memories(results.memories)
    parts += _recordings(results.slowdowns, results.reading)
    parts += _reports(results.reports)
    parts += _page(results.page)
    if results.skipped:
        parts += ["", "## Not measured", "", *(f"* {reason}" for reason in results.skipped)]
    return "\n".join(parts) + "\n"


def _machine(results: Results) -> list[str]:
    versions = ", ".join(f"{name} {version}" for name, version in results.versions.items())
    memory = f"{results.memory / 2**30:.0f} GiB"
    lines = [f"Machine: {results.processor}, {memory}. {versions}. {results.rounds} rounds."]
    if results.handovers:
        lines.append(
            f"A cache line took {statistics.median(results.handovers):.0f} ns "
            f"({min(results.handovers):.0f} to {max(results.handovers):.0f}) from one processor to "
            "another: the longer, the more recording costs."
        )
    return lines


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    if not rows:
        return []
    lines = [head, ["---"] * len(head), *rows]
    return ["", *("| " + " | ".join(line) + " |" for line in lines)]


def _ratio(ratio: Ratio) -> str:
    return f"{ratio.median:.2f}x ({ratio.low:.2f}-{ratio.high:.2f})"


def _verdict(got: float, goal: float | None, unit: str = "x") -> str:
    if goal is None:
        return ""
    return f"≤ {goal:g}{unit}: {'reached' if got <= goal else '**missed**'}"


def _slowdowns(slowdowns: Sequence[Slowdown]) -> list[str]:
    times = ["own time", "fastest", "own CPU", "command", "all CPU"]
    rows = []
    shown = ""
    for one in slowdowns:
        title = "" if one.row == shown else f"{one.row}, {one.base_seconds:.2f} s"
        shown = one.row
        if one.ratios is None:
            rows.append([title, one.variant.name, *["-"] * len(times), one.skipped])
            continue
        cells = [_ratio(one.ratios["inner_wall"]), f"{one.fastest:.2f}x"]
        cells += [f"{one.ratios[name].median:.2f}x" for name in ("inner_cpu", "wall", "all_cpu")]
        verdicts = [_verdict(one.ratios["inner_wall"].median, one.variant.goal)]
        if one.variant.all_cpu_goal is not None:
            all_cpu = one.ratios["all_cpu"].median
            verdicts.append("all CPU " + _verdict(all_cpu, one.variant.all_cpu_goal))
        rows.append([title, one.variant.name, *cells, "; ".join(filter(None, verdicts))])
    table = _table(["program, plain", "recorded by", *times, "goal"], rows)
    if not table:
        return []
    counted = sum(one.ratios["wall"].pairs for one in slowdowns if one.ratios is not None)
    unsteady = sum(one.unsteady for one in slowdowns)
    note = f"Runs counted: {counted}; not counted, as the machine's speed changed: {unsteady}."
    return ["", "## Programs against their unprofiled runs", *table, "", note]


def _pairs(pairs: Sequence[Pair]) -> list[str]:
    rows = [
        [
            pair.name,
            f"{pair.plain:.1f}",
            f"{pair.added:+.1f} ({pair.low:+.1f} to {pair.high:+.1f})",
            f"{pair.added_wall:+.1f}",
            _verdict(pair.added, pair.goal, " ns"),
        ]
        for pair in pairs
    ]
    head = ["the agent does", "plain, ns", "CPU added, ns", "wall clock added, ns", "goal"]
    table = _table(head, rows)
    return ["", "## One malloc and its free", "", _PAIRS_METHOD, *table] if table else []


def _collector(lines: Sequence[tuple[str, float]]) -> list[str]:
    rows = [
        [
            name,
            f"{rate / 1e6:.0f}",
            _verdict(-rate / 1e6, -50, " M") if name.startswith("1,000,000 ") else "",
        ]
        for name, rate in lines
    ]
    rows = [[*row[:2], row[2].replace("≤ -", "≥ ")] for row in rows]
    table = _table(["the collector takes in", "million events a second", "goal"], rows)
    return ["", "## Collector", *table] if table else []


def _memories(memories: Sequence[Memory]) -> list[str]:
    rows = []
    for memory in memories:
        large = memory.bytes >= 1e5
        shown = f"{memory.bytes / 1e6:.2f} MB" if large else f"{memory.bytes:.1f} bytes"
        goal = ""
        if memory.goal is not None:
            scale, unit = (1e6, " MB") if memory.goal >= 1e5 else (1.0, " bytes")
            goal = _verdict(memory.bytes / scale, memory.goal / scale, unit)
        rows.append([memory.name, shown, goal])
    table = _table(["memory of", "bytes", "goal"], rows)
    return ["", "## Memory of the recorder", *table] if table else []


def _recordings(slowdowns: Sequence[Slowdown], reading: Reading | None) -> list[str]:
    rows = []
    for one in slowdowns:
        if one.variant.own and one.allocations:
            rows.append(
                [
                    f"{one.row}, {one.variant.name}",
                    f"{one.allocations:,}",
                    f"{one.recording_bytes / 1e3:,.0f} kB",
                    f"{one.bytes_per_allocation:.4f}",
                ]
            )
    if reading is not None:
        rows.append(
            [
                "a long run, 4096 stacks",
                f"{reading.allocations:,}",
                f"{reading.file_bytes / 1e3:,.0f} kB",
                f"{reading.bytes_per_allocation:.4f}",
            ]
        )
    table = _table(["recording", "allocations", "size", "bytes each (goal: 0.3)"], rows)
    if not table:
        return []
    text = ["", "## Recordings", *table]
    if reading is not None:
        text += [
            "",
            (
                f"Showing the long run ({reading.allocations:,} allocations): `heaptide show` "
                f"{reading.show_seconds:.2f} s and {reading.show_rss / 1e6:.0f} MB; `--json` "
                f"{reading.json_seconds:.2f} s and {reading.json_rss / 1e6:.0f} MB. Goal: 1 s and "
                "200 MB."
            ),
        ]
    return text


def _reports(reports: Sequence[Report]) -> list[str]:
    rows = []
    shown = ""
    for report in reports:
        others = [r.seconds for r in reports if r.program == report.program and not r.own]
        goals = []
        if report.own:
            goals.append(_verdict(report.rss / 1e6, report.most_rss / 1e6, " MB"))
            if others:
                times, least = min(others) / report.seconds, report.times_faster
                reached = "reached" if times >= least else "**missed**"
                goals.append(f"{times:.3g} times as fast as the fastest (≥ {least:g}): {reached}")
        rows.append(
            [
                "" if report.program == shown else report.program,
                report.command,
                f"{report.seconds:.2f} s",
                f"{report.rss / 1e6:.0f} MB",
                f"{report.output_bytes / 1e6:.2f} MB" if report.output_bytes else "",
                "; ".join(goals),
            ]
        )
        shown = report.program
    head = ["recording of", "read by", "time", "memory", "file made", "goal"]
    table = _table(head, rows)
    return ["", "## Reading", "", _READING_METHOD, *table] if table else []


def _page(figures: Sequence[PageFigure]) -> list[str]:
    rows = [
        [
            figure.page,
            figure.what,
            f"{figure.value:.3g} {figure.unit}",
            _verdict(figure.value, figure.goal, f" {figure.unit}"),
        ]
        for figure in figures
    ]
    table = _table(["page of", "figure", "measured", "goal"], rows)
    return ["", "## The page", "", _PAGE_METHOD, *table] if table else []
