"""What was alive at the peak of a measured block, by stack: exact, or not known."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from heaptide.errors import UsageError
from heaptide.inside._frames import Stack
from heaptide.inside._measuring import measuring
from heaptide.inside._stacks import Ints, Named, Part, Sums, by_name, grouped, largest
from heaptide.recording import Recording

if TYPE_CHECKING:
    from heaptide.inside._measure import Measurement
    from heaptide.inside._measured import Measured


def held_by(measurement: Measurement, figures: Measured, limit: int) -> list[Stack]:
    """See ``Measurement.held``; ``figures``: with the peak that it is of."""
    if not figures.peak:
        return []
    with measuring.written(peak=True) as path:
        if path is None:
            raise UsageError("the recording of what was measured has ended: ask for it earlier")
        tid = measurement.thread_id if measurement.peak_scope == "thread" else None
        span = measurement.start_ns, measurement.end_ns
        with Recording.open(path) as recording:
            sums = held_at_peak(recording, *span, tid)
            time = int(recording.processes.peak_time[_process_at(recording, span[0])])
            # The collector has counted that peak apart, event by event.
            if int(sums.figures["live"].sum()) != figures.peak or not span[0] <= time <= span[1]:
                raise UsageError(
                    "what was alive at the peak is not known: the block was within another one, "
                    "or another has begun since"
                )
            return largest(recording, sums, "live", limit)


def held_at_peak(recording: Recording, start_ns: int, end_ns: int, tid: int | None) -> Sums:
    """What lived at the peak of the process that ran then, less what lived at ``start_ns``, the
    end of a slice; of one thread, if ``tid`` says so. ``bytes``, ``allocations``: until ``end_ns``.
    """
    ends, contexts = recording.slices.end, recording.contexts
    first, stop = (int(np.searchsorted(ends, t, side="right")) for t in (start_ns, end_ns))
    process = _process_at(recording, start_ns)
    used = contexts.counted & (contexts.process == process)
    if tid is not None:
        used = used & (recording.threads.tid == tid)[contexts.thread]
    before, within = recording.totals_between(0, first), recording.totals_between(first, stop)
    peak = recording.peak_of(process)
    columns: dict[str, Ints] = {
        "bytes": within.bytes_in,
        "allocations": within.blocks_in,
        "live": peak.bytes - before.bytes_in + before.bytes_out,
        "live_blocks": peak.blocks - before.blocks_in + before.blocks_out,
    }
    changed = (columns["live"] != 0) | (columns["live_blocks"] != 0)
    return grouped(recording, np.flatnonzero(used & changed), columns)


def _process_at(recording: Recording, time_ns: int) -> int:
    """Of the images of a process, one after the other, the row of the one that ran then; at a time
    below 0, of the first one."""
    begun = int(np.count_nonzero(recording.processes.start <= time_ns))
    return max(begun - 1, 0)


def held_by_name(path: Path, part: Part) -> Named:
    """What lived at the peak of a recording of one process, by the names of functions and files."""
    with Recording.open(path) as recording:
        ends = recording.slices.end
        end = int(ends[-1]) if len(ends) else 0
        return by_name(recording, held_at_peak(recording, -1, end, None), "live", part)
