"""The live heap over time: the chart, and below it what it consisted of at a few moments."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from rich.text import Text

from heaptide.profile import snapshots, timeline_of

from . import chart, units
from .console import print_section
from .labels import GAP, LEAST
from .marks import in_words, marks_of
from .places import short_function

if TYPE_CHECKING:
    from heaptide.profile import Profile, Snapshot, Summary
    from heaptide.recording import Timeline

    from .console import Screen

CHART_HEIGHT, TALL_CHART_HEIGHT = 8, 16
MOMENTS, MORE_MOMENTS = 4, 12  # beside that of the peak
MOST_ROWS = 400_000  # of slices: to read more takes a while
_ROOM = 24  # cells that a function's name may take, where several are in a line


def print_snapshots(screen: Screen, profile: Profile, found: list[Snapshot]) -> None:
    """A line for each: the peak's marked as in the chart, resident memory where it was read."""
    resident = any(snapshot.rss_bytes for snapshot in found)
    heads = ["", "time", "live heap", *(["RSS"] if resident else []), "most of it in"]
    cells = [[Text(head, "dim") for head in heads]]
    for snapshot in found:
        style = "bold red" if snapshot.peak else ""
        line = [
            Text(chart.PEAK if snapshot.peak else "", style),
            Text(units.duration(snapshot.time_ns / 1e9)),
            Text(units.size(snapshot.live_bytes), "bold"),
        ]
        style = "dim" if snapshot.sites is None else ""
        if resident:
            line.append(Text(units.size(snapshot.rss_bytes) if snapshot.rss_bytes else ""))
        cells.append([*line, Text(_sites(screen, profile, snapshot), style)])
    used = sum(max(len(line[i]) for line in cells) + GAP for i in range(len(heads) - 1))
    for line in cells[1:]:
        room = max(screen.width - used, LEAST)
        line[-1] = Text(screen.head(line[-1].plain, room), line[-1].style)
    screen.grid(cells, "lrrrl" if resident else "lrrl", gap=GAP)


def _sites(screen: Screen, profile: Profile, snapshot: Snapshot) -> str:
    if snapshot.sites is None:
        return "see --timeline: of so many changes it takes a while"
    at = profile.locations
    found = []
    for location, size in snapshot.sites:
        name, language = profile.function_of(location), int(at.language[location])
        name = screen.tail(screen.clean(short_function(name, language, _ROOM)), _ROOM)
        found.append(f"{name} {units.percent(size / snapshot.live_bytes)}")
    return ", ".join(found)


def print_over_time(
    screen: Screen, profile: Profile, summary: Summary, *, tall: bool = False
) -> None:
    """The chart, and below it what the heap consisted of at a few moments.

    The live heap is drawn in eighths of a cell: a filled curve has twice the steps that braille
    would give it, in characters that more fonts have; plain ones where the encoding has no others.
    ``tall``: a higher chart, more moments, and all of them with their functions.
    """
    timeline = timeline_of(profile)
    if not len(timeline) or not summary.peak_bytes:
        return
    start, end = _span(profile, summary)
    peak = _highest(profile, summary, timeline)
    margin = 8  # at most: four digits, a point, and the axis
    columns = max(min(screen.width, 120) - margin - 1, 10)
    heights = chart.levels(timeline, start, end, columns, peak=peak)
    height = TALL_CHART_HEIGHT if tall else CHART_HEIGHT
    plot = chart.draw(heights, peak, start, end, height=height, blocks=screen.glyphs.blocks)
    print_section(screen, "Live heap over time")
    marks = in_words(marks_of(profile))
    head = f"{plot.unit:>{plot.margin - 2}}"
    screen.line(head + (f"   marks: {screen.clean(marks)}" if marks else ""), "dim")
    for label, cells in plot.rows:
        line = Text(label, "dim")
        body = Text(cells, "cyan")
        at = cells.find(chart.PEAK)
        if at >= 0:
            body.stylize("bold red", at, at + 1)
        screen.line(line + body)
    screen.line(Text("".join(plot.axis), "dim"))
    screen.line(Text(" " * plot.margin + plot.times, "dim"))
    exact = profile.composed_ns is None and peak == (
        round(summary.peak_time_seconds * 1e9),
        summary.peak_bytes,
    )
    if not exact:
        label = f"{chart.PEAK} highest: {units.size(peak[1])} at {units.duration(peak[0] / 1e9)}"
        screen.line(" " * plot.margin + label)
    found = snapshots(
        profile,
        summary,
        count=MORE_MOMENTS if tall else MOMENTS,
        top=3 if tall else 2,
        # What is of a part has been read from them already.
        slices=tall or not profile.whole or profile.recording.delta_rows <= MOST_ROWS,
    )
    if not exact:  # `#` is in the chart what it is below it: the highest moment
        found = [snapshot for snapshot in found if not snapshot.peak]
    print_snapshots(screen, profile, found)


def _span(profile: Profile, summary: Summary) -> tuple[int, int]:
    """The time that the chart shows, in nanoseconds."""
    if profile.time is not None:
        return profile.time.start, profile.time.end
    start = 0
    if profile.processes is not None:
        start = min(int(profile.recording.processes.start[row]) for row in profile.processes)
    return start, start + round(summary.duration_seconds * 1e9)


def _highest(profile: Profile, summary: Summary, timeline: Timeline) -> tuple[int, int]:
    """Time and bytes of the highest moment of what the chart shows.

    Of all that is the summary's; of some contexts the highest that the timeline tells.
    """
    if not profile.selection.narrowed:
        return round(summary.peak_time_seconds * 1e9), summary.peak_bytes
    top = np.maximum(timeline.live_bytes, timeline.peak_bytes)
    row = int(np.argmax(top))
    return int(timeline.time[row]), int(top[row])
