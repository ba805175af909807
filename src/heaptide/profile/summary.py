"""The figures of the guide's summary, for a whole recording or for some of its processes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from heaptide.errors import UsageError
from heaptide.recording import ALL_PROCESSES, Timeline

from .figures import live_totals
from .known import unknown
from .metrics import COLUMNS, heaviest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from heaptide.recording import Recording

    from .profile import Profile
    from .selection import TimeRange


@dataclass(frozen=True)
class Summary:
    """Field names are those of the JSON schema. Bytes, seconds, counts; docs/format.md defines."""

    duration_seconds: float
    allocations: int
    deallocations: int | None  # None: of a part of the stacks only, see _of_selected
    reallocations: int
    total_bytes: int
    copied_bytes: int
    peak_bytes: int
    peak_blocks: int
    peak_time_seconds: float
    peak_rss_bytes: int
    alive_at_exit_bytes: int
    alive_at_exit_allocations: int
    temporary_allocations: int | None  # None: not known, for samples do not tell; so short-lived
    short_lived_allocations: int | None
    processes: int
    threads: int

    @property
    def calls(self) -> int:
        """Calls to allocation functions: those that made a block and those that resized one."""
        return self.allocations + self.reallocations

    @property
    def calls_per_second(self) -> float:
        return self.calls / self.duration_seconds if self.duration_seconds else 0.0

    @property
    def temporary_share(self) -> float | None:
        """Temporary allocations as a part, 0 to 1, of all calls, as the guide counts them."""
        return self._share(self.temporary_allocations)

    @property
    def short_lived_share(self) -> float | None:
        return self._share(self.short_lived_allocations)

    def _share(self, part: int | None) -> float | None:
        if part is None:
            return None
        return part / self.calls if self.calls else 0.0


def rows_of_pid(recording: Recording, pid: int) -> list[int]:
    """Rows of the images of process ``pid``. Raises UsageError, naming those there are."""
    rows: list[int] = np.flatnonzero(recording.processes.pid == pid).tolist()
    if not rows:
        pids = sorted({int(p) for p in recording.processes.pid})
        known = ", ".join(map(str, pids[:8])) + (", …" if len(pids) > 8 else "")
        raise UsageError(
            f"{recording.path} has no process {pid}; it has {known or 'none'}: choose one of them"
        )
    return rows


def summarize(profile: Profile) -> Summary:
    """The figures of what ``profile`` selects."""
    recording, rows = profile.recording, profile.processes
    if not profile.whole:
        found = _of_selected(profile)
    elif rows is None:
        found = _of_all(recording)
    else:
        found = _of_processes(profile, rows)
    lacking = unknown(recording)
    if "temporary_allocations" in lacking:
        found = replace(found, temporary_allocations=None)
    if "short_lived_allocations" in lacking:
        found = replace(found, short_lived_allocations=None)
    return found


def _of_all(recording: Recording) -> Summary:
    whole = recording.summary
    return Summary(
        duration_seconds=whole.duration_ns / 1e9,
        allocations=whole.allocations,
        deallocations=whole.deallocations,
        reallocations=whole.reallocations,
        total_bytes=whole.total_bytes,
        copied_bytes=whole.copied_bytes,
        peak_bytes=whole.peak_bytes,
        peak_blocks=whole.peak_blocks,
        peak_time_seconds=whole.peak_time_ns / 1e9,
        peak_rss_bytes=whole.peak_rss_bytes,
        alive_at_exit_bytes=whole.alive_at_exit_bytes,
        alive_at_exit_allocations=whole.alive_at_exit_blocks,
        temporary_allocations=whole.temporary,
        short_lived_allocations=whole.short_lived,
        processes=whole.processes,
        threads=whole.threads,
    )


def _of_processes(profile: Profile, rows: Sequence[int]) -> Summary:
    recording = profile.recording
    chosen = np.asarray(rows, np.int64)
    table = recording.processes
    highest = heaviest(recording, rows)
    end = int(recording.summary.duration_ns)
    ends = np.where(table.end[chosen] == 0, end, table.end[chosen])
    sums = dict(zip(COLUMNS, profile.totals.tolist()))
    counted = recording.contexts.counted & np.isin(recording.contexts.process, chosen)
    freed = int(recording.totals.blocks_out[counted].sum()) - sums["reallocations"]
    return Summary(
        duration_seconds=int(ends.max() - table.start[chosen].min()) / 1e9,
        deallocations=freed,
        peak_time_seconds=int(table.peak_time[highest]) / 1e9,
        peak_rss_bytes=int(table.peak_rss[chosen].max()),
        processes=len({int(pid) for pid in table.pid[chosen]}),
        threads=recording.threads_of(rows),
        **sums,
    )


def _of_selected(profile: Profile) -> Summary:
    """Of a range of time, or of some contexts only.

    The duration is the range's. Resident memory is the processes', whatever else is selected. A
    block that a reallocation moves leaves the stack that made it, and comes to another one: of some
    stacks only it cannot be told how many blocks were freed.
    """
    recording, time = profile.recording, profile.time
    used = profile.figures.any(axis=1)
    contexts = recording.contexts
    if profile.processes is None:
        whole = _of_all(recording)
    else:
        whole = _of_processes(profile, profile.processes)
    if time is None:
        totals = recording.totals
    else:
        totals = recording.totals_between(time.first, time.stop)
        peak = profile.range_peak
        assert peak is not None
        whole = replace(
            whole,
            duration_seconds=(time.end - time.start) / 1e9,
            peak_time_seconds=peak.time_ns / 1e9,
            peak_rss_bytes=_rss(profile, time),
        )
    sums = dict(zip(COLUMNS, profile.totals.tolist()))
    freed = None
    if profile.chosen is None:
        counted = contexts.counted  # also those that do no more than free what was live before
        if profile.processes is not None:
            counted = counted & np.isin(contexts.process, np.asarray(profile.processes))
        freed = int(totals.blocks_out[counted].sum() - totals.reallocations[counted].sum())
    if profile.composed_ns is not None and not profile.selection.narrowed:
        sums["peak_bytes"], when = _risen(profile, sums["peak_bytes"], profile.composed_ns)
        whole = replace(whole, peak_time_seconds=when / 1e9)
    owners = np.unique(contexts.process[used])
    threads = np.unique(contexts.thread[used])
    return replace(
        whole,
        deallocations=freed,
        processes=len({int(pid) for pid in recording.processes.pid[owners[owners >= 0]]}),
        threads=int((threads >= 0).sum()),
        **sums,
    )


def composed_at(profile: Profile, summary: Summary) -> int:
    """When the live heap was what *at peak* tells, in ns: at its highest, unless it is not kept
    what that consisted of."""
    at = profile.composed_ns
    return round(summary.peak_time_seconds * 1e9) if at is None else at


def _risen(profile: Profile, size: int, when: int) -> tuple[int, int]:
    """How high the heap rose within the range, by the timeline, and when (ns): its rows tell that
    of any moment. At least ``size``, at ``when``: of others it is not kept what it consisted of.

    A row tells the highest since the one before: where that is no more than grew or shrank, it was
    as high at one of the two; else in the middle, of which it is not known better.
    """
    time, timeline = profile.covered, _rows(profile)
    for process in np.unique(timeline.process).tolist():
        rows = np.flatnonzero(timeline.process == process)
        end, live = timeline.time[rows], timeline.live_bytes[rows]
        start, before = np.append(0, end)[:-1], np.append(0, live)[:-1]
        top = np.maximum(timeline.peak_bytes[rows], live)
        between = top - np.maximum(before, live) > np.abs(live - before)
        at = np.where(between, (start + end) // 2, np.where(live > before, end - 1, start))
        inside = np.flatnonzero((at >= time.start) & (at < time.end))
        if len(inside):
            row = inside[np.argmax(top[inside])]
            if int(top[row]) > size:
                size, when = int(top[row]), int(np.clip(end[row], time.start, time.end))
    return size, when


def _rss(profile: Profile, time: TimeRange) -> int:
    """The highest resident size that was read within ``time``."""
    timeline = profile.recording.timeline
    rows = (timeline.time >= time.start) & (timeline.time <= time.end)
    if profile.processes is not None:
        rows &= np.isin(timeline.process, np.asarray(profile.processes))
    return int(timeline.rss[rows].max(initial=0))


def timeline_of(profile: Profile) -> Timeline:
    """The timeline of the sum of all processes, or of the profile's, ordered by time.

    Of a range of time its rows only. Where the selection leaves out contexts, it is made from the
    slices: a row for the end of each (and of the one before them), of the chosen contexts' memory,
    without resident sizes.
    """
    if profile.selection.narrowed:
        return _from_slices(profile)
    timeline = _rows(profile)
    if profile.time is None:
        return timeline
    within = (timeline.time >= profile.time.start) & (timeline.time <= profile.time.end)
    return Timeline(**{name: column[within] for name, column in vars(timeline).items()})


def _rows(profile: Profile) -> Timeline:
    """The recorded rows of the processes, of any time, ordered by it."""
    timeline, rows = profile.recording.timeline, profile.processes
    if rows is not None:
        wanted = np.isin(timeline.process, np.asarray(rows))
    else:
        wanted = timeline.process == ALL_PROCESSES
        if not wanted.any() and len(profile.recording.processes) == 1:
            wanted = timeline.process == 0
    order = np.flatnonzero(wanted)
    order = order[np.argsort(timeline.time[order], kind="stable")]
    return Timeline(**{name: column[order] for name, column in vars(timeline).items()})


def _from_slices(profile: Profile) -> Timeline:
    recording = profile.recording
    time = profile.covered
    live = live_totals(recording, profile.processes, profile.chosen, time)
    first = 1 if time.first == 0 else 0  # at the recording's start nothing is live
    zero = np.zeros(len(live[0]) - first, np.int64)
    return Timeline(
        time=np.append(time.start, recording.slices.end[time.first : time.stop])[first:],
        process=np.full(len(zero), ALL_PROCESSES, np.int32),
        live_bytes=live[0, first:],
        live_blocks=live[1, first:],
        peak_bytes=np.maximum(live[0], np.append(0, live[0, :-1]))[first:],
        rss=zero,
        pss=zero,
        uss=zero,
        allocations=zero,
        bytes=zero,
        overhead_bytes=zero,
        stack_bytes=zero,
    )
