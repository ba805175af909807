"""A recording as text, for a terminal or a pipe: the guide's summary and what follows from it."""

from __future__ import annotations

import shlex
import time
from typing import IO, TYPE_CHECKING

from rich.text import Text

from heaptide.profile import METRICS, Metric, Profile, heaviest, summarize, timeline_of

from . import chart, units
from .console import Screen, display_path
from .notes import exited, notes
from .tables import print_processes, print_sites
from .verdicts import verdicts

if TYPE_CHECKING:
    from heaptide.profile import Summary
    from heaptide.recording import Recording

CHART_HEIGHT = 10
MOST_PROCESSES = 8
MOST_NOTES = 8
_HEAD = "bold"


def print_summary(
    recording: Recording, *, file: IO[str] | None = None, top: int = 10, width: int | None = None
) -> None:
    """Print the whole summary of ``recording`` to ``file`` (default: standard output).

    Summary, verdicts, the ``top`` sites at the peak by function, the chart, what to try next.
    """
    show(Profile(recording), METRICS["peak"], "function", top=top, file=file, width=width)


def show(
    profile: Profile,
    metric: Metric,
    by: str,
    *,
    top: int = 10,
    only_table: bool = False,
    file: IO[str] | None = None,
    width: int | None = None,
) -> None:
    """Print ``profile``. ``only_table``: the table that was asked for, and what warns of it."""
    screen = Screen(file, width)
    summary = summarize(profile)
    _title(screen, profile)
    if not only_table:
        _figures(screen, profile, summary)
        _verdicts(screen, profile, summary)
        _processes(screen, profile)
    _notes(screen, profile, only_warnings=only_table)
    _sites(screen, profile, metric, by, top)
    if not only_table:
        _chart(screen, profile, summary)
        _next(screen, profile, summary)


def _section(screen: Screen, title: str) -> None:
    screen.line()
    screen.line(title, _HEAD)


def _title(screen: Screen, profile: Profile) -> None:
    recording = profile.recording
    words = recording.meta.get("command")
    command = " ".join(map(str, words)) if isinstance(words, list) else ""
    if profile.processes:
        row = heaviest(recording, profile.processes)  # the image that the figures are of
        pid = int(recording.processes.pid[row])
        command = f"process {pid}: {' '.join(recording.command_of(row))}"
    started = recording.meta.get("start_time")
    when = ""
    if isinstance(started, (int, float)) and 0 < started < 1e11:
        stamp = time.strftime("%Y-%m-%d %H:%M", time.localtime(started))
        when = f" {screen.glyphs.dot} {stamp}"
    command = screen.clean(command) or display_path(recording.path)
    line = Text(screen.head(command, screen.width - len(when)), _HEAD)
    line.append(when, "dim")
    screen.line(line)


def _figures(screen: Screen, profile: Profile, summary: Summary) -> None:
    """The guide's lines, in its order and under its names."""
    peak = units.binary_size(summary.peak_bytes)
    moment = units.duration(summary.peak_time_seconds)
    copied = units.size(summary.copied_bytes)
    alive = units.some(summary.alive_at_exit_allocations, "block", "blocks")
    threads = units.some(summary.threads, "thread", "threads")
    lines = [
        ("total runtime", units.duration(summary.duration_seconds), ""),
        (
            "calls to allocation functions",
            units.count(summary.calls),
            f"{units.count(round(summary.calls_per_second))} per second",
        ),
        ("reallocations of these", units.count(summary.reallocations), f"copied {copied}"),
        (
            "temporary allocations",
            *_part(summary.temporary_allocations, summary.temporary_share, "the next one"),
        ),
        (
            "short-lived allocations",
            *_part(summary.short_lived_allocations, summary.short_lived_share, "8 more"),
        ),
        ("peak heap", units.size(summary.peak_bytes), f"{peak}, after {moment}"),
        ("peak RSS", units.size(summary.peak_rss_bytes), units.binary_size(summary.peak_rss_bytes)),
        (_alive(profile), units.size(summary.alive_at_exit_bytes), f"in {alive}"),
        ("allocated in total", units.size(summary.total_bytes), ""),
        ("processes", units.count(summary.processes), f"with {threads}"),
    ]
    unsaid = {
        "reallocations of these": not summary.reallocations,
        "peak RSS": not summary.peak_rss_bytes,
        "processes": summary.processes < 2 and summary.threads < 2,
    }
    screen.grid(
        [
            [Text(f"{name}:", "dim"), Text(figure, "bold"), Text(more)]
            for name, figure, more in lines
            if not unsaid.get(name)
        ],
        "lrl",
    )


def _part(count: int | None, share: float | None, before: str) -> tuple[str, str]:
    if count is None or share is None:
        return "not known", "when sampling: only samples are seen"
    return units.count(count), f"{units.percent(share)}: freed before {before}"


def _alive(profile: Profile) -> str:
    return "alive at exit" if exited(profile.recording) else "alive at the recording's end"


def _verdicts(screen: Screen, profile: Profile, summary: Summary) -> None:
    found = verdicts(summary, exited=exited(profile.recording))
    if not found:
        return
    screen.line()
    marks = {"ok": screen.glyphs.good, "over": screen.glyphs.bad, "note": screen.glyphs.neutral}
    styles = {"ok": "green", "over": "bold red", "note": "yellow"}
    margin = max(len(mark) for mark in marks.values()) + 1
    for verdict in found:
        mark = Text(marks[verdict.status].ljust(margin), styles[verdict.status])
        _paragraph(screen, mark, verdict.text)


def _paragraph(screen: Screen, mark: Text, text: str) -> None:
    """``text`` wrapped, behind ``mark`` on its first line and as far in on the others."""
    room = max(screen.width - mark.cell_len, 10)
    for line in Text(text).wrap(screen.console, room, overflow="fold"):
        screen.line(mark + line)
        mark = Text(" " * mark.cell_len)


def _processes(screen: Screen, profile: Profile) -> None:
    rows = list(
        range(len(profile.recording.processes)) if profile.processes is None else profile.processes
    )
    if len(rows) < 2:
        return
    _section(screen, "Processes, by their peaks")
    print_processes(screen, profile, rows, MOST_PROCESSES)
    if len(rows) > MOST_PROCESSES:
        more = units.some(len(rows) - MOST_PROCESSES, "other", "others")
        screen.line(f"and {more}: see --by process", "dim")


def _notes(screen: Screen, profile: Profile, *, only_warnings: bool) -> None:
    found = [note for note in notes(profile) if note.level == "warning" or not only_warnings]
    if not found:
        return
    screen.line()
    for note in found[:MOST_NOTES]:
        style = "yellow" if note.level == "warning" else "dim"
        _paragraph(screen, Text(f"{note.level}: ", style), screen.clean(note.text))
    if len(found) > MOST_NOTES:
        more = units.some(len(found) - MOST_NOTES, "other note", "other notes")
        screen.line(f"and {more}: see --json", "dim")


def _sites(screen: Screen, profile: Profile, metric: Metric, by: str, top: int) -> None:
    fold = profile.fold(by, metric)
    groups = int((fold.values > 0).sum())
    shown = groups if top <= 0 else min(top, groups)
    where = "" if by in ("thread", "process") else ", charged to your own code first"
    _section(screen, f"{metric.words[0].upper()}{metric.words[1:]}, by {by}{where}")
    if not shown:
        screen.line("nothing", "dim")
        return
    print_sites(screen, profile, fold, shown)
    others = groups - shown
    if others:
        rest = int(fold.values[shown:].sum())
        figure = units.size(rest) if metric.unit == "bytes" else units.count(rest)
        screen.line(f"and {figure} in {units.some(others, 'other', 'others')}: see --top 0", "dim")


def _chart(screen: Screen, profile: Profile, summary: Summary) -> None:
    recording = profile.recording
    timeline = timeline_of(profile)
    if not len(timeline) or not summary.peak_bytes:
        return
    start = 0
    if profile.processes is not None:
        start = min(int(recording.processes.start[row]) for row in profile.processes)
    end = start + round(summary.duration_seconds * 1e9)
    peak = (round(summary.peak_time_seconds * 1e9), summary.peak_bytes)
    margin = 8  # at most: four digits, a point, and the axis
    columns = max(min(screen.width, 120) - margin - 1, 10)
    heights = chart.levels(timeline, start, end, columns, peak=peak)
    plot = chart.draw(heights, peak, start, end, height=CHART_HEIGHT, blocks=screen.glyphs.blocks)
    _section(screen, "Live heap over time")
    screen.line(f"{plot.unit:>{plot.margin - 2}}", "dim")
    for label, cells in plot.rows:
        line = Text(label, "dim")
        body = Text(cells, "cyan")
        at = cells.find(chart.PEAK)
        if at >= 0:
            body.stylize("bold red", at, at + 1)
        screen.line(line + body)
    screen.line(Text("".join(plot.axis), "dim"))
    screen.line(Text(" " * plot.margin + plot.times, "dim"))
    when = units.duration(summary.peak_time_seconds)
    label = f"{chart.PEAK} peak: {units.size(summary.peak_bytes)} at {when}"
    screen.line(" " * plot.margin + label)


def _next(screen: Screen, profile: Profile, summary: Summary) -> None:
    """Commands worth trying on this very recording."""
    path = shlex.quote(display_path(profile.recording.path))
    base = f"heaptide show {path}"
    tries = [(f"{base} --by line", "the same by line")]
    if (summary.temporary_share or 0.0) >= 0.25:
        tries.append((f"{base} --metric temporary", "who makes the temporary ones"))
    if summary.copied_bytes > summary.total_bytes // 10:
        tries.append((f"{base} --metric copied", "who grows blocks by reallocation"))
    tries.append((f"{base} --metric total", "who allocates the most over time"))
    if summary.alive_at_exit_bytes:
        tries.append((f"{base} --metric alive", "what is alive at exit"))
    if summary.processes > 1 and profile.processes is None:
        row = heaviest(profile.recording, range(len(profile.recording.processes)))
        pid = int(profile.recording.processes.pid[row])
        tries.append((f"{base} --process {pid}", "the largest process by itself"))
    if profile.recording.symbols is None:
        tries.insert(0, (f"heaptide symbolize {path}", "find the names of functions"))
    tries.append((f"{base} --json", "all of it, for a program"))
    _section(screen, "Next")
    width = max(len(command) for command, _ in tries)
    beside = width + 4 + max(len(why) for _, why in tries) <= screen.width
    for command, why in tries:
        line = Text(f"  {command}")
        if beside:
            line.append(f"{' ' * (width - len(command))}  {why}", "dim")
        else:
            screen.line(Text(f"  {why}:", "dim"))
            line = Text(f"    {command}")
        # A command that is too long is left whole: it is there to be copied.
        screen.console.print(line, no_wrap=True, overflow="ignore", crop=False)
