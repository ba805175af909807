"""The difference of two recordings as text: the key figures, what grew, what shrank."""

from __future__ import annotations

import time
from typing import IO, TYPE_CHECKING

import numpy as np
from rich.text import Text

from heaptide._printable import shell_word
from heaptide.profile import METRICS, summarize
from heaptide.profile.diff import ADDITIVE, compare
from heaptide.profile.shared import Shared

from . import units
from .changes import Scale, part, signed
from .commands import recorded_command
from .comparable import caveats
from .console import Screen, display_path, print_section
from .diff_table import arrow, print_changes

if TYPE_CHECKING:
    from heaptide.profile import Metric, Profile, Summary
    from heaptide.profile.diff import Diff

Profiles = tuple["Profile", "Profile"]

_FEW = 3  # listed however little they changed

_FIGURES = (
    ("peak_bytes", "peak heap", units.size),
    ("alive_at_exit_bytes", "alive at exit", units.size),
    ("total_bytes", "allocated in total", units.size),
    ("allocations", "allocations", units.count),
    ("temporary_allocations", "temporary allocations", units.count),
    ("copied_bytes", "copied by realloc", units.size),
    ("peak_rss_bytes", "peak RSS", units.size),
)


def show_diff(
    old: Profile,
    new: Profile,
    metric: Metric,
    by: str,
    *,
    scale: str | None = None,
    top: int = 10,
    least: float = 0.0,
    file: IO[str] | None = None,
    width: int | None = None,
) -> None:
    """Prints what has changed from ``old`` to ``new``: ``top`` groups each way, 0: all.

    ``least``: a part of the whole, of the larger recording; of what changed by less, only the first
    few are listed, the rest is summed up. ``scale`` as ``compare`` takes it. Raises UsageError as
    that does.
    """
    screen = Screen(file, width)
    profiles, shared = (old, new), Shared(old, new)
    # Before anything else: it reads one recording after the other, and keeps little of them.
    found = compare(old, new, by, metric, scale=scale, shared=shared, once=True)
    summaries = summarize(old), summarize(new)
    _titles(screen, profiles)
    _figures(screen, profiles, summaries)
    _notes(screen, shared, summaries)
    words = _words(profiles, metric, by, scale)
    step = found.step
    least = least * max(side.sum() for side in found.values) if len(found) else 0.0
    for verb, rows in (
        ("grew", np.flatnonzero(step > 0)),
        ("shrank", np.flatnonzero(step < 0)[::-1]),
    ):
        if len(rows):
            large = max(int((np.abs(step[rows]) >= least).sum()), _FEW)
            count = large if top <= 0 else min(top, large)
            _table(screen, shared, found, verb, words, rows.tolist(), count)
    if not step.any():
        screen.line()
        screen.line(f"No difference: {words}", "bold")
    _next(screen, profiles, found)


def _titles(screen: Screen, profiles: Profiles) -> None:
    """Which is which: the files, and what they are recordings of."""
    rows = []
    for name, profile in zip(("old", "new"), profiles):
        started = profile.recording.meta.get("start_time")
        stamp = ""
        if isinstance(started, (int, float)) and 0 < started < 1e11:
            stamp = time.strftime("%Y-%m-%d %H:%M", time.localtime(started))
        command = recorded_command(profile.recording)
        path = screen.clean(display_path(profile.recording.path))
        rows.append((name, path, stamp, screen.clean(command)))
    room = screen.width - 5
    most = max(min(max(len(path) for _, path, _, _ in rows), room // 2), 8)
    for name, path, stamp, command in rows:
        line = Text(f"{name}  ", "dim")
        line.append(screen.tail(path, most).ljust(most), "bold")
        line.append(f"  {stamp}", "dim")
        line.append("  " + screen.head(command, max(screen.width - line.cell_len - 2, 0)))
        screen.line(line)
    screen.line()


def _figures(screen: Screen, profiles: Profiles, summaries: tuple[Summary, Summary]) -> None:
    ends = [profile.worded(METRICS["alive"]).words for profile in profiles]
    rows = []
    for name, words, figure in _FIGURES:
        before, after = (getattr(summary, name) for summary in summaries)
        if before is None or after is None or not (before or after):
            continue
        if name == "peak_rss_bytes" and not (before and after):  # not read: a short run
            continue
        if name.startswith("alive"):
            words = ends[0] if ends[0] == ends[1] else "alive at the end"
        rows.append(_row(screen, words, before, after, figure))
    old, new = (summary.duration_seconds for summary in summaries)
    rows.append(_row(screen, "run time", old, new, lambda n: screen.clean(units.duration(n))))
    screen.grid(rows, "lrlrrr")


def _row(screen: Screen, words: str, before: float, after: float, figure: object) -> list[Text]:
    assert callable(figure)
    return [
        Text(f"{words}:", "dim"),
        Text(figure(before)),
        Text(arrow(screen), "dim"),
        Text(figure(after), "bold"),
        signed(after - before, figure),
        Text(part(before, after)),
    ]


def _notes(screen: Screen, shared: Shared, summaries: tuple[Summary, Summary]) -> None:
    found = caveats(shared, summaries)
    if found:
        screen.line()
    for note in found:
        style = "yellow" if note.level == "warning" else "dim"
        screen.paragraph(Text(f"{note.level}: ", style), screen.clean(note.text))


def _words(profiles: Profiles, metric: Metric, by: str, scale: str | None) -> str:
    words = {profile.worded(metric).words for profile in profiles}
    what = words.pop() if len(words) == 1 else "alive at the end"
    return f"{what}{Scale(metric, scale).words}, by {by}"


def _table(
    screen: Screen,
    shared: Shared,
    found: Diff,
    verb: str,
    words: str,
    rows: list[int],
    count: int,
) -> None:
    """``rows`` that grew or shrank, the first ``count`` one by one, the rest summed up."""
    scale, step = Scale(found.metric, found.scale), found.step
    whole = signed(step[rows].sum(), scale.figure).plain
    print_section(screen, f"What {verb}: {words} ({whole})")
    print_changes(screen, shared, found, rows[:count])
    rest = rows[count:]
    if rest:
        others = units.some(len(rest), "other", "others")
        amount = scale.figure(abs(step[rest].sum()))
        screen.line(f"and {others} {verb} by {amount} in all: see --top 0", "dim")


def _next(screen: Screen, profiles: Profiles, found: Diff) -> None:
    """Commands worth trying on these very recordings."""
    old, new = (shell_word(display_path(p.recording.path)) for p in profiles)
    base, metric, differs = f"heaptide diff {old} {new}", found.metric.name, found.step.any()
    chosen = "" if metric == "peak" else f" --metric {metric}"
    tries = []
    if found.by != "line" and differs:
        tries.append((f"{base}{chosen} --by line", "the same by line"))
    if metric == "peak":
        tries.append((f"{base} --metric alive", "what stays until the end"))
    if metric not in ADDITIVE:
        tries.append((f"{base} --metric total", "all that was allocated"))
    elif found.scale is None and differs:
        tries.append((f"{base}{chosen} --normalize time", "the same per second"))
    tries.append((f"heaptide report {new} --base {old}", "the difference as a page, by stack"))
    print_section(screen, "Next")
    for command, why in tries:
        screen.line(f"  {why}:", "dim")
        # A command that is too long is left whole: it is there to be copied.
        screen.console.print(Text(f"    {command}"), no_wrap=True, overflow="ignore", crop=False)
