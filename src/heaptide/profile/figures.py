"""Figures of contexts: of the whole time as they are written down, of a range from the slices."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from heaptide.recording import ALL_PROCESSES

from .metrics import COLUMNS, heaviest

if TYPE_CHECKING:
    from heaptide.recording import Composition, Recording, Totals

    from .selection import TimeRange

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Peak:
    """The highest moment: what the heap held then, when that was, and how well it is known."""

    composition: Composition
    time_ns: int
    exact: bool  # False: the heap rose higher, but only the composition of this moment was kept


def context_figures(
    recording: Recording,
    processes: Sequence[int] | None = None,
    contexts: Bools | None = None,
) -> Ints:
    """All figures of all contexts over the whole time: shape (contexts, len(COLUMNS)).

    ``processes``: rows of the processes to count (None: all). Their contexts' columns other than
    the peak are as recorded; the peak is the highest moment of all processes together, or of the
    highest of the chosen ones (images of one pid follow one another, they do not add up).
    Contexts of arenas, of other processes, and those that ``contexts`` leaves out, are zero.
    """
    columns = figure_columns(recording, processes, contexts)
    return _stacked(columns, len(recording.contexts))


def figure_columns(
    recording: Recording,
    processes: Sequence[int] | None = None,
    contexts: Bools | None = None,
) -> Iterator[Ints]:
    """The columns of ``context_figures``, one at a time: of many contexts all of them are large."""
    if processes is None:
        peak = recording.peak_of()
    else:
        peak = recording.peak_of(heaviest(recording, processes))
    mask = _counted(recording, processes, contexts)
    return _columns(peak, recording.totals, recording.totals, mask)


def range_figures(
    recording: Recording,
    processes: Sequence[int] | None,
    contexts: Bools | None,
    time: TimeRange,
    peak: Peak,
    *,
    to_exit: bool,
) -> Ints:
    """The same of the slices of ``time``, whose highest moment ``peak`` is.

    ``to_exit``: the time goes on to the end, so what is alive is what processes left behind.
    """
    within = recording.totals_between(time.first, time.stop)
    until = within if time.first == 0 else recording.totals_between(0, time.stop)
    mask = _counted(recording, processes, contexts)
    figures = _stacked(_columns(peak.composition, until, within, mask), len(mask))
    if not to_exit:
        figures[~alive_contexts(recording, time.stop), _ALIVE] = 0
    return figures


_ALIVE = slice(COLUMNS.index("alive_at_exit_bytes"), COLUMNS.index("alive_at_exit_allocations") + 1)


def _counted(
    recording: Recording, processes: Sequence[int] | None, contexts: Bools | None
) -> Bools:
    mask = recording.contexts.counted
    if processes is not None:
        mask = mask & np.isin(recording.contexts.process, processes)
    return mask if contexts is None else mask & contexts


def _columns(peak: Composition, until: Totals, within: Totals, mask: Bools) -> Iterator[Ints]:
    columns: Iterable[Ints] = (
        peak.bytes,
        peak.blocks,
        until.live_bytes,
        until.live_blocks,
        within.bytes_in,
        within.allocations,
        within.reallocations,
        within.copied_bytes,
        within.temporary,
        within.short_lived,
    )
    return (column * mask for column in columns)


def _stacked(columns: Iterable[Ints], rows: int) -> Ints:
    figures = np.empty((rows, len(COLUMNS)), np.int64)
    for index, column in enumerate(columns):
        figures[:, index] = column
    return figures


def alive_processes(recording: Recording, stop: int) -> Bools:
    """For each process whether it had not ended before slice ``stop - 1`` began.

    What a process leaves behind at its exit stays in the sums of the slices, for it was never
    freed; of the live heap it is no part any more.
    """
    end = recording.processes.end
    if stop <= 0:
        return np.ones(len(end), np.bool_)
    return np.asarray((end == 0) | (end > recording.slices.start[stop - 1]))


def alive_contexts(recording: Recording, stop: int) -> Bools:
    """For each context whether its process was alive in slice ``stop - 1``."""
    process = recording.contexts.process
    alive = np.append(alive_processes(recording, stop), True)  # the last: not known which
    return np.asarray(alive[process])


def range_peak(recording: Recording, processes: Sequence[int] | None, time: TimeRange) -> Peak:
    """The highest moment of the live heap of ``processes`` within ``time``.

    The recording's peak, whose composition is kept, if it is in the range; else the highest end of
    a slice, that before the range included.
    """
    row = ALL_PROCESSES if processes is None else heaviest(recording, processes)
    if row == ALL_PROCESSES:
        when, exact = recording.summary.peak_time_ns, recording.summary.peak_exact
    else:
        when, exact = int(recording.processes.peak_time[row]), True
    if exact and time.start <= when <= time.end:
        found = recording.peak_of(row)
        if found.exact:
            return Peak(found, when, True)
    best = time.first - 1 + int(np.argmax(live_totals(recording, processes, None, time)[0]))
    sums = recording.totals_between(0, best + 1)
    alive = alive_contexts(recording, best + 1)
    composition = type(recording.peak_of(row))(
        sums.live_blocks * alive, sums.live_bytes * alive, exact=False
    )
    when = int(recording.slices.end[best]) if best >= 0 else 0
    return Peak(composition, max(when, time.start), False)


def live_totals(
    recording: Recording,
    processes: Sequence[int] | None,
    contexts: Bools | None,
    time: TimeRange,
) -> Ints:
    """Bytes and blocks live at the end of each slice: shape (2, 1 + stop - first).

    The first column is the end of the slice before ``time``. Processes that have ended count no
    more, see ``alive_processes``.
    """
    owner = recording.contexts.process
    mask = _counted(recording, processes, contexts)
    count = len(recording.processes) + 1  # the last: a process that is not known
    live = np.zeros((2, count), np.int64)
    found = np.zeros((2, 1 + time.stop - time.first), np.int64)
    for index in range(time.stop):
        rows = recording.deltas(index, index + 1)
        used = mask[rows.context]
        process = owner[rows.context[used]]
        for row, name in enumerate(("bytes", "blocks")):
            came = getattr(rows, f"{name}_in")[used].astype(np.int64)
            went = getattr(rows, f"{name}_out")[used].astype(np.int64)
            np.add.at(live[row], process, came - went)
        if index >= time.first - 1:
            alive = np.append(alive_processes(recording, index + 1), True)
            found[:, index + 1 - time.first] = live[:, alive].sum(axis=1)
    return found
