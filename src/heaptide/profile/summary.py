"""The figures of the guide's summary, for a whole recording or for some of its processes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from heaptide.errors import UsageError
from heaptide.recording import ALL_PROCESSES

from .metrics import COLUMNS, heaviest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from heaptide.recording import Recording, Timeline

    from .profile import Profile


@dataclass(frozen=True)
class Summary:
    """Field names are those of the JSON schema. Bytes, seconds, counts; docs/format.md defines."""

    duration_seconds: float
    allocations: int
    deallocations: int
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
    """The figures of ``profile``: of all processes or of its own."""
    recording, rows = profile.recording, profile.processes
    found = _of_all(recording) if rows is None else _of_processes(profile, rows)
    if recording.sample_interval:
        found = replace(found, temporary_allocations=None, short_lived_allocations=None)
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


def timeline_of(profile: Profile) -> Timeline:
    """The timeline of the sum of all processes, or of the profile's, ordered by time."""
    timeline, rows = profile.recording.timeline, profile.processes
    if rows is not None:
        wanted = np.isin(timeline.process, np.asarray(rows))
    else:
        wanted = timeline.process == ALL_PROCESSES
        if not wanted.any() and len(profile.recording.processes) == 1:
            wanted = timeline.process == 0
    order = np.flatnonzero(wanted)
    order = order[np.argsort(timeline.time[order], kind="stable")]
    return type(timeline)(**{name: column[order] for name, column in vars(timeline).items()})
