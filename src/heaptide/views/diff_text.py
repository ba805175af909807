"""The difference of two recordings as text: the key figures, what grew, what shrank."""

from __future__ import annotations

import shlex
from typing import IO, TYPE_CHECKING

import numpy as np
from rich.text import Text

from heaptide.profile import summarize, thread_name
from heaptide.profile.diff import Status, compare

from . import units
from .comparable import caveats
from .console import Screen, display_path
from .labels import GAP, Label, divide, heads, place_label, write_label

if TYPE_CHECKING:
    from heaptide.profile import Metric, Profile
    from heaptide.profile.diff import Diff

_STATUS = {Status.NEW: "new", Status.GONE: "gone"}


def show_diff(
    old: Profile,
    new: Profile,
    metric: Metric,
    by: str,
    *,
    top: int = 10,
    file: IO[str] | None = None,
    width: int | None = None,
) -> None:
    """Prints what has changed from ``old`` to ``new``: ``top`` groups each way."""
    screen = Screen(file, width)
    summaries = summarize(old), summarize(new)
    paths = [display_path(profile.recording.path) for profile in (old, new)]
    screen.line(screen.clean(f"{paths[0]} -> {paths[1]}"), "bold")
    _figures(screen, *(vars(summary) for summary in summaries))
    for line in caveats((old.recording, new.recording), summaries):
        screen.paragraph(Text("note: ", "dim"), screen.clean(line))
    found = compare(old, new, by, metric)
    change = found.change
    words = new.worded(metric).words
    for title, wanted, order in (
        ("grew", change > 0, slice(None)),
        ("shrank", change < 0, slice(None, None, -1)),
    ):
        rows = np.flatnonzero(wanted)[order]
        if len(rows):
            _section(screen, f"What {title}: {words}, by {by}")
            _table(screen, (old, new), found, rows.tolist(), top)
    if not change.any():
        screen.line()
        screen.line(f"No difference: {words}, by {by}")
    _next(screen, paths, metric.name, by)


def _section(screen: Screen, title: str) -> None:
    screen.line()
    screen.line(title, "bold")


def _figures(screen: Screen, old: dict[str, int], new: dict[str, int]) -> None:
    rows = []
    for name, words, figure in (
        ("peak_bytes", "peak heap", units.size),
        ("alive_at_exit_bytes", "alive at exit", units.size),
        ("total_bytes", "allocated in total", units.size),
        ("allocations", "allocations", units.count),
        ("temporary_allocations", "temporary allocations", units.count),
        ("copied_bytes", "copied by realloc", units.size),
        ("peak_rss_bytes", "peak RSS", units.size),
    ):
        before, after = old[name], new[name]
        if before is None or after is None or not (before or after):
            continue
        part = f"{(after - before) / before * 100:+.1f} %" if before else "new"
        rows.append(
            [
                Text(f"{words}:", "dim"),
                Text(figure(before)),
                Text("->", "dim"),
                Text(figure(after), "bold"),
                _signed(after - before, figure),
                Text(part if after != before else ""),
            ]
        )
    if rows:
        screen.grid(rows, "lrlrrr")


def _signed(change: int, figure: object) -> Text:
    assert callable(figure)
    if change == 0:
        return Text("same", "dim")
    sign = "+" if change > 0 else "-"
    return Text(f"{sign}{figure(abs(change))}", "red" if change > 0 else "green")


def _table(
    screen: Screen, profiles: tuple[Profile, Profile], found: Diff, rows: list[int], top: int
) -> None:
    figure = units.size if found.metric.unit == "bytes" else units.count
    shown = rows if top <= 0 else rows[:top]
    old, new = found.metric.of(found.old), found.metric.of(found.new)
    status = found.status
    cells = [[Text(head, "dim") for head in ("change", "old", "", "new", "")]]
    labels = [heads(found.by)]
    for row in shown:
        before, after = int(old[row]), int(new[row])
        cells.append(
            [
                _signed(after - before, figure),
                Text(figure(before)),
                Text("->", "dim"),
                Text(figure(after)),
                Text(_STATUS.get(Status(int(status[row])), ""), "yellow"),
            ]
        )
        label = _label(profiles[int(found.in_new[row])], found.by, int(found.place[row]))
        label.clean(screen)
        labels.append(label)
    used = sum(max(row[i].cell_len for row in cells) + GAP for i in range(5))
    name_width, place_width = divide(labels, screen.width - used)
    for line, label in zip(cells, labels):
        name, place = write_label(screen, label, found.by, name_width, place_width)
        style = "dim" if label is labels[0] or not label.own else "bold"
        line += [Text(name, style), Text(place, "dim")]
    screen.grid(cells, "rrlrlll", gap=GAP)
    rest = rows[len(shown) :]
    if rest:
        amount = _signed(int(found.change[rest].sum()), figure).plain
        others = units.some(len(rest), "other", "others")
        screen.line(f"and {amount} in {others}: see --top 0", "dim")


def _label(profile: Profile, by: str, place: int) -> Label:
    if by == "thread":
        return Label(thread_name(profile.recording, place) if place >= 0 else "[unknown thread]")
    if by == "process":
        recording = profile.recording
        if place < 0:
            return Label("[unknown process]")
        command = " ".join(recording.command_of(place)) or recording.processes.exe[place]
        return Label(command)
    return place_label(profile, by, place)


def _next(screen: Screen, paths: list[str], metric: str, by: str) -> None:
    old, new = map(shlex.quote, paths)
    _section(screen, "Next")
    tries = [(f"heaptide report {new} --base {old}", "a page of the difference, by stack")]
    if metric != "total":
        tries.insert(0, (f"heaptide diff {old} {new} --metric total", "all that was allocated"))
    if by != "line":
        chosen = "" if metric == "peak" else f" --metric {metric}"
        tries.insert(0, (f"heaptide diff {old} {new}{chosen} --by line", "the same by line"))
    for command, why in tries:
        screen.line(f"  {why}:", "dim")
        # A command that is too long is left whole: it is there to be copied.
        screen.console.print(Text(f"    {command}"), no_wrap=True, overflow="ignore", crop=False)
