"""What the heap consisted of at a few moments: evenly spaced ones, and the peak."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from .figures import alive_contexts
from .fold import sum_by
from .metrics import COLUMNS
from .selection import TimeRange

if TYPE_CHECKING:
    from .profile import Profile
    from .summary import Summary

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Snapshot:
    """``sites``: rows of the profile's locations and their bytes, largest first; None: left out."""

    time_ns: int
    live_bytes: int
    rss_bytes: int  # of all the processes, as last read until then; 0: not read
    peak: bool
    sites: list[tuple[int, int]] | None


def snapshots(
    profile: Profile, summary: Summary, *, count: int = 4, top: int = 2, slices: bool = True
) -> list[Snapshot]:
    """``count`` moments at equal distances up to the end of the time, and the peak, by time.

    Of some processes they are between the start and the end of these.

    Each moment is the end of a slice of time; equal ones come once. ``top``: how many functions.
    ``slices``: read all slices of time, at about 1 µs for each context that changed in one; else
    only the peak and the end tell their sites, and others the live heap that the timeline has.
    """
    from .summary import composed_at

    time = profile.covered
    peak_bytes = int(profile.totals[0])
    found = []
    if peak_bytes:
        at = composed_at(profile, summary)
        sites = _sites(profile, profile.figures[:, COLUMNS.index("peak_bytes")], top)
        found.append(Snapshot(at, peak_bytes, _rss(profile, at), True, sites))
    make = _from_slices if slices else _from_rows
    found += make(profile, time, count, top)
    return sorted(found, key=lambda snapshot: (snapshot.time_ns, not snapshot.peak))


def _stops(profile: Profile, time: TimeRange, count: int) -> list[int]:
    """How many slices have ended at each moment: of the time in which the processes lived."""
    ends = profile.recording.slices.end[time.first : time.stop]
    if not len(ends):
        return []
    start, end = time.start, time.end
    if profile.processes is not None:
        table, rows = profile.recording.processes, np.asarray(profile.processes)
        start = min(max(start, int(table.start[rows].min())), end)
        if table.end[rows].all():
            end = max(min(end, int(table.end[rows].max())), start)
    moments = start + (end - start) * (np.arange(count) + 1) // count
    stops = np.searchsorted(ends, moments, side="left").clip(max=len(ends) - 1)
    return [time.first + 1 + index for index in sorted(set(stops.tolist()))]


def compositions(profile: Profile, count: int) -> Iterator[tuple[int, Ints]]:
    """What the heap held at ``count`` moments, equal ones once: the time in ns, and the bytes of
    each context. Each moment is the end of a slice, as for ``snapshots``; the last is the end."""
    recording = profile.recording
    time = profile.covered
    contexts = recording.contexts
    mask = contexts.counted
    if profile.processes is not None:
        mask = mask & np.isin(contexts.process, profile.processes)
    if profile.chosen is not None:
        mask = mask & profile.chosen
    live = np.zeros(len(contexts), np.int64)
    before = 0
    for stop in _stops(profile, time, count):
        live += recording.totals_between(before, stop).live_bytes
        before = stop
        held = live * (mask & alive_contexts(recording, stop))
        yield int(recording.slices.end[stop - 1]), held


def _from_slices(profile: Profile, time: TimeRange, count: int, top: int) -> list[Snapshot]:
    return [
        Snapshot(end, int(held.sum()), _rss(profile, end), False, _sites(profile, held, top))
        for end, held in compositions(profile, count)
    ]


def _from_rows(profile: Profile, time: TimeRange, count: int, top: int) -> list[Snapshot]:
    from .summary import timeline_of

    recording, timeline = profile.recording, timeline_of(profile)
    found = []
    for stop in _stops(profile, time, count):
        end = int(recording.slices.end[stop - 1])
        row = int(np.searchsorted(timeline.time, end, side="right")) - 1
        live = int(timeline.live_bytes[row]) if row >= 0 else 0
        sites = None
        if stop == len(recording.slices):
            alive = profile.figures[:, COLUMNS.index("alive_at_exit_bytes")]
            held = alive * alive_contexts(recording, stop)
            live, sites = int(held.sum()), _sites(profile, held, top)
        found.append(Snapshot(end, live, _rss(profile, end), False, sites))
    return found


def _sites(profile: Profile, held: Ints, top: int) -> list[tuple[int, int]]:
    """The functions that hold the most, each by the place of its largest part."""
    used = np.flatnonzero(held)
    site, at_site = sum_by(profile.context_site[used], held[used][:, np.newaxis])
    group = profile.function_groups[site]
    order = np.lexsort((site, -at_site[:, 0], group))
    first = np.append(True, np.diff(group[order]) != 0)[: len(order)]
    places = site[order][first]
    sums = sum_by(group, at_site)[1][:, 0] if len(group) else np.zeros(0, np.int64)
    largest = np.argsort(-sums, kind="stable")[:top]
    return [(int(places[i]), int(sums[i])) for i in largest if sums[i] > 0]


def _rss(profile: Profile, time_ns: int) -> int:
    """Resident memory as it was last read until ``time_ns``: of the processes, summed."""
    timeline = profile.recording.timeline
    if profile.processes is None:
        rows = timeline.of()
        if not len(rows) and len(profile.recording.processes) == 1:
            rows = timeline.of(0)
        return _last(rows.time, rows.rss, time_ns)
    total = 0
    for process in profile.processes:
        end = int(profile.recording.processes.end[process])
        if end == 0 or end >= time_ns:
            rows = timeline.of(process)
            total += _last(rows.time, rows.rss, time_ns)
    return total


def _last(time: Ints, rss: Ints, until: int) -> int:
    """The last reading that is one: resident sizes are not read for each row."""
    read = np.flatnonzero((time <= until) & (rss > 0))
    return int(rss[read[-1]]) if len(read) else 0
