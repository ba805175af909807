"""A recording as text, for a terminal or a pipe: the guide's summary and what follows from it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import IO, TYPE_CHECKING

from rich.text import Text

from heaptide.profile import METRICS, Metric, Profile, heaviest, summarize, unknown
from heaptide.profile.actors import like_threads

from . import units
from .commands import process_command, recorded_command
from .console import Screen, display_path, print_section
from .growth import growth_of
from .labels import thread_label
from .moments import print_over_time
from .next_steps import print_next
from .notes import exited, notes
from .selected import in_words, selection_notes
from .tables import print_processes, print_sites
from .verdicts import verdicts

if TYPE_CHECKING:
    from heaptide.profile import Summary
    from heaptide.recording import Recording

    from .treeoptions import TreeOptions

MOST_PROCESSES = 8
MOST_NOTES = 8
_HEAD = "bold"
_ESTIMATED = ", each stack's as over the whole time"


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
    metric = profile.worded(metric)
    summary = summarize(profile)
    _title(screen, profile)
    grown = False
    if not only_table:
        _figures(screen, profile, summary)
        grown = _verdicts(screen, profile, summary)
        _processes(screen, profile)
    _notes(screen, profile, metric, only_warnings=only_table, grown=grown)
    _sites(screen, profile, metric, by, top)
    if not only_table:
        print_over_time(screen, profile, summary)
        if profile.whole:
            print_next(screen, profile, summary, grown=grown)


def show_views(
    profile: Profile,
    metric: Metric,
    *,
    tree: TreeOptions | None = None,
    histograms: Sequence[str] = (),
    threads: bool = False,
    timeline: bool = False,
    top: int = 40,
    least: float = 0.01,
    file: IO[str] | None = None,
    width: int | None = None,
) -> None:
    """Print the views that are asked for, each under a title of its own.

    ``top``: lines of the tree, and how many threads; 0: all. ``least``: what part of the whole a
    branch of the tree has to have.
    """
    from heaptide.profile import is_estimate

    from .histograms import print_histogram, print_threads

    screen = Screen(file, width)
    metric = profile.worded(metric)
    _title(screen, profile)
    _notes(screen, profile, metric, only_warnings=True)
    if tree is not None:
        _tree(screen, profile, metric, tree, top, least)
    if threads:
        print_section(screen, f"Threads, by what is {metric.words}")
        print_threads(screen, profile, profile.fold("thread", metric), top)
    for which in histograms:
        title = {"sizes": "Calls by the size they asked for", "lifetimes": "Blocks by their life"}
        print_section(screen, title[which] + (_ESTIMATED if is_estimate(profile) else ""))
        print_histogram(screen, profile, which)
    if timeline:
        print_over_time(screen, profile, summarize(profile), tall=True)


def _title(screen: Screen, profile: Profile) -> None:
    recording = profile.recording
    command = recorded_command(recording)
    if profile.processes:
        row = heaviest(recording, profile.processes)  # the image that the figures are of
        pid = int(recording.processes.pid[row])
        command = f"process {pid}: {process_command(recording, row)}"
    started = recording.meta.get("start_time")
    when = ""
    if isinstance(started, (int, float)) and 0 < started < 1e11:
        stamp = time.strftime("%Y-%m-%d %H:%M", time.localtime(started))
        when = f" {screen.glyphs.dot} {stamp}"
    command = screen.clean(command) or display_path(recording.path)
    line = Text(screen.head(command, screen.width - len(when)), _HEAD)
    line.append(when, "dim")
    screen.line(line)
    phrases = in_words(profile)
    if phrases:
        text = screen.clean(f"only {'; '.join(phrases)}")
        screen.paragraph(Text(), text, "yellow")


def _figures(screen: Screen, profile: Profile, summary: Summary) -> None:
    """The guide's lines, in its order and under its names."""
    peak = units.binary_size(summary.peak_bytes)
    moment = f"after {units.duration(summary.peak_time_seconds)}"
    if profile.processes is not None or profile.time is not None:  # whose time it is not
        moment += " of the recording"
    copied = units.size(summary.copied_bytes)
    alive_words = profile.worded(METRICS["alive"]).words
    alive = units.some(summary.alive_at_exit_allocations, "block", "blocks")
    alive = "" if "alive_at_exit_allocations" in unknown(profile.recording) else f"in {alive}"
    threads = units.some(summary.threads, "thread", "threads")
    lines = [
        ("total runtime", units.duration(summary.duration_seconds), ""),
        (
            "calls to allocation functions",
            units.count(summary.calls),
            ""
            if "time" in unknown(profile.recording)
            else f"{units.count(round(summary.calls_per_second))} per second",
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
        (
            "peak heap",
            units.size(summary.peak_bytes),
            peak if "time" in unknown(profile.recording) else f"{peak}, {moment}",
        ),
        ("peak RSS", units.size(summary.peak_rss_bytes), units.binary_size(summary.peak_rss_bytes)),
        (
            alive_words,
            units.size(summary.alive_at_exit_bytes),
            alive,
        ),
        ("allocated in total", units.size(summary.total_bytes), ""),
        ("processes", units.count(summary.processes), f"with {threads}"),
    ]
    lacking = unknown(profile.recording)
    foreign = bool(profile.recording.source)
    unsaid = {
        "total runtime": "time" in lacking,
        "calls to allocation functions": "allocations" in lacking,
        "reallocations of these": not summary.reallocations,
        "temporary allocations": foreign and "temporary_allocations" in lacking,
        "short-lived allocations": foreign and "short_lived_allocations" in lacking,
        "peak heap": "peak_bytes" in lacking,
        "peak RSS": not summary.peak_rss_bytes,
        alive_words: "alive_at_exit_bytes" in lacking,
        "allocated in total": "total_bytes" in lacking,
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


def _verdicts(screen: Screen, profile: Profile, summary: Summary) -> bool:
    """Whether one of them is that it leaks."""
    found = []
    if profile.whole:
        recording = profile.recording
        found = verdicts(
            summary,
            exited=exited(recording),
            unknown=unknown(recording),
            growth=growth_of(profile),
        )
    if not found:
        return False
    screen.line()
    marks = {"ok": screen.glyphs.good, "over": screen.glyphs.bad, "note": screen.glyphs.neutral}
    styles = {"ok": "green", "over": "bold red", "note": "yellow"}
    margin = max(len(mark) for mark in marks.values()) + 1
    for verdict in found:
        mark = Text(marks[verdict.status].ljust(margin), styles[verdict.status])
        screen.paragraph(mark, screen.clean(verdict.text))
    return any(verdict.name == "growth" for verdict in found)


def _processes(screen: Screen, profile: Profile) -> None:
    rows = list(
        range(len(profile.recording.processes)) if profile.processes is None else profile.processes
    )
    if len(rows) < 2:
        return
    print_section(screen, "Processes, by their peaks")
    print_processes(screen, profile, rows, MOST_PROCESSES)
    if len(rows) > MOST_PROCESSES:
        more = units.some(len(rows) - MOST_PROCESSES, "other", "others")
        screen.line(f"and {more}: see --by process", "dim")


def _notes(
    screen: Screen, profile: Profile, metric: Metric, *, only_warnings: bool, grown: bool = False
) -> None:
    # Of a part only what warns: the rest has been read with the whole.
    only_warnings = only_warnings or not profile.whole
    found = [note for note in notes(profile) if note.level == "warning" or not only_warnings]
    found += selection_notes(profile, metric, grown=grown)
    if not found:
        return
    screen.line()
    for note in found[:MOST_NOTES]:
        style = "yellow" if note.level == "warning" else "dim"
        screen.paragraph(Text(f"{note.level}: ", style), screen.clean(note.text))
    if len(found) > MOST_NOTES:
        more = units.some(len(found) - MOST_NOTES, "other note", "other notes")
        screen.line(f"and {more}: see --json", "dim")


def _sites(screen: Screen, profile: Profile, metric: Metric, by: str, top: int) -> None:
    fold, labels = profile.fold(by, metric), []
    if by == "thread":
        like = like_threads(profile)
        fold, members = like.fold(fold)
        labels = [thread_label(profile, like, rows) for rows in members]
    groups = int((fold.values > 0).sum())
    shown = groups if top <= 0 else min(top, groups)
    where = "" if by in ("thread", "process") else ", charged to your own code first"
    print_section(screen, f"{metric.words[0].upper()}{metric.words[1:]}, by {by}{where}")
    if not shown:
        screen.line("nothing", "dim")
        return
    print_sites(screen, profile, fold, shown, labels)
    others = groups - shown
    if others:
        rest = int(fold.values[shown:].sum())
        figure = units.size(rest) if metric.unit == "bytes" else units.count(rest)
        screen.line(f"and {figure} in {units.some(others, 'other', 'others')}: see --top 0", "dim")


def _joined(words: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(words[:-1]), words[-1])))


def _tree(
    screen: Screen, profile: Profile, metric: Metric, options: TreeOptions, top: int, least: float
) -> None:
    from .trees import print_tree

    what = "who calls it" if options.inverted else "what calls what"
    if profile.selection.functions:
        name = screen.clean(" or ".join(profile.selection.functions))
        what = f"who calls {name}" if options.inverted else f"what {name} calls"
    print_section(screen, f"{metric.words[0].upper()}{metric.words[1:]}: {what}, by {options.by}")
    said = ["straight runs are not indented"]
    if options.by == "function":
        said.append("lines are where most of it is")
    if options.hide:
        said.append(f"frames of the {_joined(options.hide)} are not shown: --hide none")
    if options.merge:
        said.append(f"frames of the {_joined(options.merge)} go by module")
    screen.paragraph(Text(), "; ".join(said), "dim")
    print_tree(
        screen,
        profile,
        options.tree(profile, metric, least),
        metric,
        options,
        lines=top,
        least=least,
    )
