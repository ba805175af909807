"""The figures of a look: of the recording as of its last checkpoint, of the collector as of now."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from heaptide.profile import COLUMNS
from heaptide.recorder._wire import State
from heaptide.recording import ALL_PROCESSES

if TYPE_CHECKING:
    from heaptide.profile import Profile
    from heaptide.recorder import Live
    from heaptide.recording import Recording, Timeline

Ints = npt.NDArray[np.int64]

_SECOND = 1_000_000_000
_RATE_NS = 2 * _SECOND  # allocations per second are those of so long


class Phase(Enum):
    """Where a recording is between its beginning and its end."""

    WAITING = "not recording yet"
    RECORDING = "recording"
    STOPPED = "recording ended, program goes on"
    ENDED = "ended"  # its finished form, with names, may be in the making
    FINISHED = "finished"
    ABANDONED = "not finished, its collector is gone"


@dataclass(frozen=True)
class Figures:
    """Key figures: of all processes, or of the chosen one. Bytes, nanoseconds, counts."""

    live_bytes: int
    live_blocks: int
    peak_bytes: int
    peak_time_ns: int
    rss_bytes: int  # 0: not known; so pss
    pss_bytes: int
    allocations: int
    reallocations: int
    total_bytes: int
    allocations_per_second: float  # of late, or of all the time; reallocations among them
    elapsed_ns: int
    processes: int  # alive; of one that is finished: all there were. So threads
    threads: int


@dataclass(frozen=True)
class History:
    """The heap over time: one row a moment, in order."""

    time_ns: Ints
    live_bytes: Ints  # the highest since the row before
    rss_bytes: Ints  # 0: not read

    def __len__(self) -> int:
        return len(self.time_ns)


def phase_of(recording: Recording, live: Live | None) -> Phase:
    """``live``: what the collector says, None if there is none any more."""
    if recording.compacted:
        return Phase.ABANDONED if recording.end is None else Phase.FINISHED
    if live is None or recording.finished:
        return Phase.ABANDONED if recording.end is None else Phase.ENDED
    if live.state is State.PAUSED:
        return Phase.WAITING
    return Phase.STOPPED if live.state is State.STOPPED else Phase.RECORDING


def figures_of(profile: Profile, timeline: Timeline, phase: Phase) -> Figures:
    """As the recording has them, as of its last checkpoint."""
    recording, rows = profile.recording, profile.processes
    table = recording.processes
    totals = dict(zip(COLUMNS, profile.totals.tolist()))
    chosen = np.arange(len(table)) if rows is None else np.asarray(rows, np.int64)
    on = phase in (Phase.WAITING, Phase.RECORDING)
    alive = chosen[table.end[chosen] == 0] if on else chosen
    if rows is None:
        peak, peak_time = recording.summary.peak_bytes, recording.summary.peak_time_ns
    else:
        highest = chosen[np.argmax(table.peak_bytes[chosen])] if len(chosen) else 0
        peak, peak_time = int(table.peak_bytes[highest]), int(table.peak_time[highest])
    threads = recording.threads
    working = np.isin(threads.process, alive) & ((threads.end == 0) | (not on))
    rss, pss = timeline.rss[timeline.rss > 0], timeline.pss[timeline.pss > 0]
    elapsed = recording.summary.duration_ns
    calls = totals["allocations"] + totals["reallocations"]
    return Figures(
        live_bytes=totals["alive_at_exit_bytes"],
        live_blocks=totals["alive_at_exit_allocations"],
        peak_bytes=max(peak, totals["alive_at_exit_bytes"]),
        peak_time_ns=peak_time,
        rss_bytes=int(rss[-1]) if rss.size else 0,
        pss_bytes=int(pss[-1]) if pss.size else 0,
        allocations=totals["allocations"],
        reallocations=totals["reallocations"],
        total_bytes=totals["total_bytes"],
        allocations_per_second=rate(timeline) if on else calls * _SECOND / max(elapsed, 1),
        elapsed_ns=elapsed,
        processes=len(np.unique(table.pid[alive])),
        threads=int(working.sum()),
    )


def with_live(figures: Figures, live: Live, rss: int) -> Figures:
    """With what the collector says of the moment, where it says it."""
    return replace(
        figures,
        live_bytes=live.live_bytes,
        live_blocks=live.live_blocks,
        peak_bytes=live.peak_bytes,
        peak_time_ns=live.peak_time_ns,
        rss_bytes=rss,
        allocations=live.allocations,
        reallocations=live.reallocations,
        total_bytes=live.total_bytes,
        elapsed_ns=live.elapsed_ns,
        processes=live.processes_live,
        threads=live.threads_live,
    )


def rate(timeline: Timeline) -> float:
    """Calls for memory a second, over the last two seconds of the timeline (or its last row)."""
    if len(timeline) < 2:
        return 0.0
    time_ns = timeline.time
    first = int(np.searchsorted(time_ns, time_ns[-1] - _RATE_NS, side="right"))
    first = min(first, len(time_ns) - 1)
    since = int(time_ns[first - 1]) if first else 0
    span = int(time_ns[-1]) - since
    return int(timeline.allocations[first:].sum()) * _SECOND / span if span else 0.0


def history_of(timeline: Timeline) -> History:
    """As far as the timeline goes."""
    live = np.maximum(timeline.live_bytes, timeline.peak_bytes)
    return History(timeline.time, live, timeline.rss)


def with_points(history: History, points: list[tuple[int, int, int]]) -> History:
    """With the moments that the collector told of since the timeline's last row."""
    last = int(history.time_ns[-1]) if len(history) else -1
    later = np.array([point for point in points if point[0] > last], np.int64).reshape(-1, 3)
    return History(
        np.append(history.time_ns, later[:, 0]),
        np.append(history.live_bytes, later[:, 1]),
        np.append(history.rss_bytes, later[:, 2]),
    )


def last_rss(timeline: Timeline, count: int) -> Ints:
    """The RSS of each process in the last row of the timeline that has one."""
    found = np.zeros(count, np.int64)
    known = (timeline.process != ALL_PROCESSES) & (timeline.process < count) & (timeline.rss > 0)
    found[timeline.process[known]] = timeline.rss[known]
    return found
