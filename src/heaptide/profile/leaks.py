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
Bools = npt.NDArray[np.bool_]

WARM_UP = 0.2
"""Part of the time that a program may take to fill its caches and start its threads. Growth tests
on whole heaps drop more (0.4), for one heap has many warm-ups in it; a single stack has its own."""
TAIL = 0.1
"""Part of the time at the end of which nothing new counts: it may be in use, not yet freed."""
STILL_ALIVE = 0.95
"""Up to here it has to stay: in what is left programs free at their exit what they held until then,
as Python does with its modules, and would have no leaks."""
LEAST_SECONDS = 10.0
"""Of less, imports and first calls may be more than WARM_UP, and look like a leak."""
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


def may_be_warm_up(time: TimeRange) -> bool:
    """Whether the time is too short to tell what leaks in it from what warms up."""
    return time.end - time.start < LEAST_SECONDS * 1e9


def leaked(recording: Recording, time: TimeRange) -> Ints:
    """Bytes and blocks that each context leaked: shape (contexts, 2). Zeros if too short to say.

    Contexts of one stack in one process are looked at together: a server with a thread for each
    request leaks a little in each, and none of them grows. The floor of a window is the least that
    was live at the end of any of its slices. A stack leaks if its floor rises from the first window
    to the second and on to the third, the second rise being no small part of the first. What it
    leaked is the rise of the floor that lasts into the tail: what is freed in its first half does
    not count, nor what came in it. A context's share goes by what it holds.
    One pass over the slices; memory of eight figures a stack.
    """
    count = len(recording.contexts)
    found = np.zeros((count, 2), np.int64)
    parts = windows(recording, time)
    if parts is None:
        return found
    group, owner = _stacks(recording)
    live = np.zeros((len(owner), 2), np.int64)
    before = recording.totals_between(0, parts[0].start)
    for column, sums in enumerate((before.live_bytes, before.live_blocks)):
        np.add.at(live[:, column], group, sums)
    floors = []
    stop = _until(recording, time)
    for part in (parts[0], parts[1], range(parts[2].start, max(stop, parts[2].stop))):
        floors.append(_floor(recording, group, live, part))
    first, second, third = floors
    early, late = (second - first)[:, 0], (third - second)[:, 0]
    grows = (early > 0) & (late > 0) & (late * _LATER_RISE >= early)
    grows &= (early + late) * _LEAST_RISE >= third[:, 0]
    grows &= owner & alive_contexts(recording, stop)[_first(group, len(owner))]
    if not grows.any():
        return found
    rise = np.maximum(third - first, 0) * grows[:, np.newaxis]
    held = recording.totals_between(0, stop)
    for column, sums in enumerate((held.live_bytes, held.live_blocks)):
        found[:, column] = _shared(rise[:, column], group, np.maximum(sums, 0))
    return found


def ended(recording: Recording, time: TimeRange) -> Bools:
    """For each context whether its process had ended by then, so that it leaks nothing."""
    return ~alive_contexts(recording, _until(recording, time))


def _until(recording: Recording, time: TimeRange) -> int:
    """Behind the last slice up to which it has to stay."""
    still = time.start + int((time.end - time.start) * STILL_ALIVE)
    return int(np.searchsorted(recording.slices.end, still, side="right"))


def _stacks(recording: Recording) -> tuple[Ints, Bools]:
    """For each context the number of its stack in its process, and for each of these whether it
    counts in totals: contexts of arenas are apart."""
    contexts = recording.contexts
    counted = contexts.counted
    key = contexts.process.astype(np.int64) * (len(recording.stacks) + 1) + contexts.stack
    distinct, group = np.unique(key * 2 + counted, return_inverse=True)
    return group, np.asarray(distinct % 2 == 1)


def _first(group: Ints, count: int) -> Ints:
    """A context of each group."""
    found = np.zeros(count, np.int64)
    found[group] = np.arange(len(group))
    return found


def _shared(amount: Ints, group: Ints, weight: Ints) -> Ints:
    """Divides the amounts of groups among their members by weight, to the last byte."""
    order = np.argsort(group, kind="stable")
    wanted = amount[group[order]]
    weights = weight[order].astype(np.float64)
    running = np.cumsum(weights)
    starts = np.append(True, np.diff(group[order]) != 0)
    before = np.maximum.accumulate(np.where(starts, running - weights, 0.0))
    whole = np.zeros(len(amount))
    np.add.at(whole, group, weight)
    total = np.maximum(whole[group[order]], 1.0)
    until = np.rint(np.minimum((running - before) / total, 1.0) * wanted).astype(np.int64)
    last = np.append(starts[1:], True)
    until[last] = wanted[last]
    share = until - np.where(starts, 0, np.append(0, until[:-1]))
    found = np.zeros(len(group), np.int64)
    found[order] = share
    return found


def _floor(recording: Recording, group: Ints, live: Ints, slices: range) -> Ints:
    """The least of ``live`` (stacks, 2) at the ends of ``slices``; ``live`` moves on to the last.

    What was live before the first of them does not count.
    """
    floor: Ints | None = None
    for index in slices:
        rows = recording.deltas(index, index + 1)
        changed = group[rows.context]
        for column, name in enumerate(("bytes", "blocks")):
            came = getattr(rows, f"{name}_in").astype(np.int64)
            went = getattr(rows, f"{name}_out").astype(np.int64)
            np.add.at(live[:, column], changed, came - went)
        if floor is None:
            floor = live.copy()
        else:
            floor[changed] = np.minimum(floor[changed], live[changed])
    return live.copy() if floor is None else floor
