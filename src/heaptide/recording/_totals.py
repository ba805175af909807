"""Figures computed from a recording: sums over slices, live heaps, peaks, the summary.

Every function streams over the slices; memory is a few columns of one figure a context.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from heaptide.recording._load import Loader
from heaptide.recording._rows import Rows
from heaptide.recording._schema import ALL_PROCESSES, METRICS
from heaptide.recording._tables import Composition, Figures, Mask, Summary, Totals

if TYPE_CHECKING:
    from heaptide.recording._recording import Recording


def sum_slices(loader: Loader, wanted: range) -> Totals:
    """Sums of the deltas of the slices `wanted`, for each context."""
    contexts = len(loader.contexts())
    loader.slices()
    sums = Totals.zeros(contexts)
    for index in wanted:
        add_rows(sums, loader.slice_rows(index))
    return sums


def add_rows(sums: Totals, rows: Rows) -> None:
    """Adds the figures of `rows` to `sums`."""
    if rows.count == 0:
        return
    context = rows.figures("context")
    # Writers give each context once; then plain indexing does, 10 times as fast as np.add.at.
    # Each row leaves its number in its context's place: with none given twice all are still there.
    place = np.empty(len(sums), np.int64)
    place[context] = order = np.arange(rows.count)
    distinct = bool(np.all(place[context] == order))
    for name in METRICS:
        if name in rows:
            column: Figures = getattr(sums, name)
            if distinct:
                column[context] += rows.figures(name)
            else:
                np.add.at(column, context, rows.figures(name))


def live_at(recording: Recording, time_ns: int) -> Composition:
    """The live heap at the end of the last slice that ends at or before `time_ns`."""
    stop = int(np.searchsorted(recording.slices.end, time_ns, side="right"))
    sums = recording.totals_between(0, stop)
    return Composition(sums.live_blocks, sums.live_bytes)


def peak_of(recording: Recording, process: int = ALL_PROCESSES) -> Composition:
    """See `Recording.peak_of`."""
    exact = _recorded_peak(recording, process)
    return _highest_slice(recording, process)[0] if exact is None else exact


def _recorded_peak(recording: Recording, process: int) -> Composition | None:
    peaks = recording.peaks
    rows = peaks.process == process
    if process == ALL_PROCESSES and not rows.any() and len(recording.processes) == 1:
        rows = peaks.process == 0
    if not rows.any():
        return None
    found = Composition(
        np.zeros(len(recording.contexts), np.int64), np.zeros(len(recording.contexts), np.int64)
    )
    np.add.at(found.blocks, peaks.context[rows], peaks.blocks[rows])
    np.add.at(found.bytes, peaks.context[rows], peaks.bytes[rows])
    return found


def _of_process(recording: Recording, process: int) -> Mask:
    """The contexts that count in a process's heap, or in that of all."""
    counted = recording.contexts.counted
    if process != ALL_PROCESSES:
        counted = counted & (recording.contexts.process == process)
    return counted


def _highest_slice(recording: Recording, process: int) -> tuple[Composition, int]:
    """The highest live heap at the end of a slice, and the number of that slice (-1: none)."""
    loader = recording._loader
    mask = _of_process(recording, process)
    live, best_bytes, best_slice = 0, 0, -1
    for index in range(len(recording.slices)):
        rows = loader.slice_rows(index)
        counted = mask[rows.figures("context")]
        live += int(rows.figures("bytes_in")[counted].sum())
        live -= int(rows.figures("bytes_out")[counted].sum())
        if live > best_bytes:
            best_bytes, best_slice = live, index
    sums = recording.totals_between(0, best_slice + 1)
    return Composition(sums.live_blocks * mask, sums.live_bytes * mask, exact=False), best_slice


def summarize(recording: Recording) -> Summary:
    """See `Recording.summary`."""
    counted = recording.contexts.counted
    totals = recording.totals
    processes = recording.processes
    sums = {name: int(getattr(totals, name)[counted].sum()) for name in METRICS}
    peak = _recorded_peak(recording, ALL_PROCESSES)
    if peak is not None:
        peak_time = _peak_time(recording)
    else:
        peak, index = _highest_slice(recording, ALL_PROCESSES)
        peak_time = int(recording.slices.end[index]) if index >= 0 else 0
    return Summary(
        duration_ns=_duration(recording),
        allocations=sums["blocks_in"] - sums["reallocations"],
        deallocations=sums["blocks_out"] - sums["reallocations"],
        reallocations=sums["reallocations"],
        total_bytes=sums["bytes_in"],
        copied_bytes=sums["copied_bytes"],
        peak_bytes=int(peak.bytes[counted].sum()),
        peak_blocks=int(peak.blocks[counted].sum()),
        peak_time_ns=peak_time,
        peak_exact=peak.exact,
        peak_rss_bytes=_peak_rss(recording),
        alive_at_exit_bytes=sums["bytes_in"] - sums["bytes_out"],
        alive_at_exit_blocks=sums["blocks_in"] - sums["blocks_out"],
        temporary=sums["temporary"],
        short_lived=sums["short_lived"],
        processes=int((processes.image == 0).sum()),
        threads=count_threads(recording),
        lost_events=int(processes.lost_events.sum()),
    )


def count_threads(recording: Recording, processes: Mask | None = None) -> int:
    """Threads that ran in `processes` (True for rows that count; None: all).

    The table has a row for each thread of each image. What goes on in a new image is the thread
    that called exec, under its process's id.
    """
    threads, table = recording.threads, recording.processes
    # Images of one run of a pid: a row with image 0 begins another.
    runs = [0] * len(table)
    run_of_pid: dict[int, int] = {}
    for row, (pid, image) in enumerate(zip(table.pid.tolist(), table.image.tolist())):
        if image == 0 or pid not in run_of_pid:
            run_of_pid[pid] = row
        runs[row] = run_of_pid[pid]
    owner = threads.process
    known = owner >= 0
    if processes is not None:
        known = known & processes[owner]
    main = known & (threads.tid == table.pid[owner])
    mains = {runs[process] for process in owner[main].tolist()}
    return int((known & ~main).sum()) + len(mains)


def _duration(recording: Recording) -> int:
    if recording.end is not None and recording.end.time:
        return recording.end.time
    times = [recording.slices.end, recording.timeline.time]
    return max((int(column.max()) for column in times if column.size), default=0)


def _peak_time(recording: Recording) -> int:
    if len(recording.processes) == 1:
        return int(recording.processes.peak_time[0])
    timeline = recording.timeline.of(ALL_PROCESSES)
    return int(timeline.time[timeline.peak_bytes.argmax()]) if len(timeline) else 0


def _peak_rss(recording: Recording) -> int:
    """The highest sum read, or the highest of one process (which the kernel keeps exactly)."""
    columns = [recording.processes.peak_rss, recording.timeline.of(ALL_PROCESSES).rss]
    return max((int(column.max()) for column in columns if column.size), default=0)
