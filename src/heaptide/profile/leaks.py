"""Which contexts leak: memory that came after warm-up, stays, and keeps growing.

The definition is in docs/format.md, and applies trap 9 of memory figures: what is alive at exit is
no leak by itself (statics, caches, the runtime's own), but a floor that rises and rises is one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from .figures import alive_contexts

if TYPE_CHECKING:
    from heaptide.recording import Recording

    from .selection import TimeRange

Ints = npt.NDArray[np.int64]

WARM_UP = 0.2
"""Part of the time that a program may take to fill its caches and start its threads. Growth tests
on whole heaps drop more (0.4), for one heap has many warm-ups in it; a single stack has its own."""
TAIL = 0.1
"""Part of the time at the end of which nothing new counts: it may be in use, not yet freed."""
STILL_ALIVE = 0.95
"""Up to here it has to stay: in what is left programs free at their exit what they held until then,
as Python does with its modules, and would have no leaks."""
LEAST_SLICES = 12
"""Fewer after warm-up, and there are no four ends of slices in each of three windows."""
_WINDOWS = 3
_LATER_RISE = 3  # the second rise is at least the first, divided by this: plateaus are no leaks
_LEAST_RISE = 100  # both rises together are at least the level, divided by this


def windows(recording: Recording, time: TimeRange) -> list[range] | None:
    """Slices of three equal windows of time between warm-up and tail; None: too short to say."""
    ends = recording.slices.end[time.first : time.stop]
    length = time.end - time.start
    bounds = np.linspace(WARM_UP, 1.0 - TAIL, _WINDOWS + 1) * length + time.start
    marks = (time.first + np.searchsorted(ends, bounds, side="left")).tolist()
    found = [range(a, b) for a, b in zip(marks[:-1], marks[1:])]
    if min(map(len, found)) * _WINDOWS < LEAST_SLICES:
        return None
    return found


def leaked(recording: Recording, time: TimeRange) -> Ints:
    """Bytes and blocks that each context leaked: shape (contexts, 2). Zeros if too short to say.

    The floor of a window is the least that was live at the end of any of its slices. A context
    leaks if its floor rises from the first window to the second and on to the third, the second
    rise being no small part of the first. What it leaked is the rise of the floor that lasts into
    the tail: what is freed in its first half does not count, nor what came in it.
    One pass over the slices; memory of eight figures a context.
    """
    count = len(recording.contexts)
    found = np.zeros((count, 2), np.int64)
    parts = windows(recording, time)
    if parts is None:
        return found
    before = recording.totals_between(0, parts[0].start)
    live = np.stack([before.live_bytes, before.live_blocks], axis=1)
    floors = []
    still = time.start + int((time.end - time.start) * STILL_ALIVE)
    stop = int(np.searchsorted(recording.slices.end, still, side="right"))
    for part in (parts[0], parts[1], range(parts[2].start, max(stop, parts[2].stop))):
        floors.append(_floor(recording, live, part))
    first, second, third = floors
    early, late = (second - first)[:, 0], (third - second)[:, 0]
    grows = (early > 0) & (late > 0) & (late * _LATER_RISE >= early)
    grows &= (early + late) * _LEAST_RISE >= third[:, 0]
    grows &= recording.contexts.counted & alive_contexts(recording, stop)
    found[grows] = np.maximum(third - first, 0)[grows]
    return found


def _floor(recording: Recording, live: Ints, slices: range) -> Ints:
    """The least of ``live`` (contexts, 2) at the ends of ``slices``; ``live`` moves on to the last.

    What was live before the first of them does not count.
    """
    floor: Ints | None = None
    for index in slices:
        rows = recording.deltas(index, index + 1)
        context = rows.context
        for column, name in enumerate(("bytes", "blocks")):
            came = getattr(rows, f"{name}_in").astype(np.int64)
            went = getattr(rows, f"{name}_out").astype(np.int64)
            np.add.at(live[:, column], context, came - went)
        if floor is None:
            floor = live.copy()
        else:
            floor[context] = np.minimum(floor[context], live[context])
    return live.copy() if floor is None else floor
