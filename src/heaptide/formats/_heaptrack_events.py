"""A recording's sums as the events of a heaptrack file that have the same sums.

A recording knows how much each stack allocated and freed in each slice of time, not block by block.
The events are made so that, for each stack, the number of allocations, what is live at the peak and
what is live at the end are exact, and nothing is ever above the peak; in between, what is live
follows the slices as far as whole blocks allow. Blocks of a stack have the sizes that make these
sums come out.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO, TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from heaptide.errors import UsageError
from heaptide.profile import COLUMNS, composed_at, summarize, timeline_of

from ._heaptrack_blocks import Blocks, Row, divided
from ._heaptrack_lines import Output

if TYPE_CHECKING:
    from ._export import Export

Ints = npt.NDArray[np.int64]

MOST_CALLS: Final = 1_000_000_000
"""Of which the file has about 10 bytes each, before it is compressed."""


def write(export: Export, file: IO[bytes]) -> None:
    plan = _Plan(export)
    plan.run(None)
    out = Output(export, file)
    out.head()
    plan.run(out)
    out.flush()


class _Plan:
    """The events of all stacks, slice by slice."""

    def __init__(self, export: Export) -> None:
        self._export = export
        stacks, sums = export.by_stack
        column = {name: sums[:, i] for i, name in enumerate(COLUMNS)}
        unknown = export.unknown
        if "temporary_allocations" in unknown:
            column["temporary_allocations"] = export.extra_by_stack("heaptrack-temporary")
        if "alive_at_exit_bytes" in unknown:
            column["alive_at_exit_bytes"] = np.zeros(len(stacks), np.int64)
            column["alive_at_exit_allocations"] = column["alive_at_exit_bytes"]
        if "peak_bytes" in unknown:
            column["peak_bytes"] = column["alive_at_exit_bytes"]
            column["peak_blocks"] = column["alive_at_exit_allocations"]
        self._stacks = stacks
        self._calls = column["allocations"] + column["reallocations"]
        self._columns = column
        if int(self._calls.sum()) > MOST_CALLS:
            raise UsageError(
                f"{export.recording.path} has {int(self._calls.sum()):,} allocations, and "
                "heaptrack's format a line for each: write a range of time, or another format"
            )
        self._asks: list[tuple[int, int, int]] = []  # row, blocks, bytes of room
        self._places: dict[int, list[tuple[int, int, bool]]] = {}  # by ask: size, count, at once
        self._first: list[list[tuple[int, int, bool]]] = []  # by row
        self._peak_bytes = int(column["peak_bytes"].sum())
        self._peak_ns = composed_at(export.profile, summarize(export.profile))
        self._row_of = np.full(len(export.recording.stacks) + 1, -1, np.int64)
        self._row_of[stacks] = np.arange(len(stacks))
        self._used: npt.NDArray[np.bool_] = np.asarray(export.profile.figures.any(axis=1))

    def _made(self) -> list[Row]:
        names = ("peak_blocks", "peak_bytes", "alive_at_exit_allocations", "alive_at_exit_bytes")
        sums = np.stack([self._columns[name] for name in names], axis=1).tolist()
        return [
            divided(stack, calls, total, temporary, tuple(four))
            for stack, calls, total, temporary, four in zip(
                self._stacks.tolist(),
                self._calls.tolist(),
                self._columns["total_bytes"].tolist(),
                self._columns["temporary_allocations"].tolist(),
                sums,
            )
        ]

    def run(self, out: Output | None) -> None:
        """Emits everything. Without ``out`` it only finds out when there is room for what comes and
        goes; that has to be done once before."""
        self._out = out
        self._total = 0
        self._asked = 0
        rows = self._made()
        start = 0 if self._export.profile.time is None else self._export.profile.time.start
        self._time(start)
        self._stay(rows)
        if out is not None:
            # What never fits beside what is live comes before there is anything.
            for row, places in zip(rows, self._first):
                for size, count, at_once in places:
                    room = self._peak_bytes - self._total
                    out.come_and_go(row, size, count, at_once=at_once, room=room)
            out.settle(0)
        reached = False
        for end, numbers, calls, live in self._slices():
            if not reached and end >= self._peak_ns:
                self._to_the_peak(rows)
                reached = True
            self._time(end)
            for number, count, held in zip(numbers, calls, live):
                row = rows[number]
                made = self._follow(row, held, reached)
                self._come_and_go(row, number, count - made)
        if not reached:
            self._to_the_peak(rows)
        self._to_the_end(rows)
        if out is None:
            self._place(self._made())
        else:
            out.settle(-1)

    def _stay(self, rows: list[Row]) -> None:
        """The first block is one that stays, as in heaptrack's own files: for heaptrack, each free
        of its kind that follows another free would be of a temporary one."""
        for row in rows:
            for group in (row.both, row.peak):
                for size, count in group.take(self._peak_bytes, 1):
                    self._add(row, size, count, kept=group is row.peak)
                    return

    def _time(self, ns: int) -> None:
        if self._out is not None:
            self._out.time(ns, self._rss(ns))

    def _slices(self) -> Iterator[tuple[int, list[int], list[int], list[int]]]:
        """For each slice: its end, rows that changed, their calls in it, and what is live then."""
        recording, time = self._export.recording, self._export.profile.time
        stack = recording.contexts.stack
        live = np.zeros(len(self._stacks), np.int64)
        numbers = range(len(recording.slices))
        first = 0 if time is None else time.first
        for number in numbers if time is None else range(time.stop):
            deltas = recording.deltas(number, number + 1)
            chosen = self._used[deltas.context]
            row = self._row_of[stack[deltas.context[chosen]]]
            known = row >= 0
            row = row[known]
            change = deltas.bytes_in[chosen][known].astype(np.int64)
            change -= deltas.bytes_out[chosen][known].astype(np.int64)
            np.add.at(live, row, change)
            if number < first:
                continue
            touched, place = np.unique(row, return_inverse=True)
            calls = np.zeros(len(touched), np.int64)
            np.add.at(calls, place, deltas.blocks_in[chosen][known].astype(np.int64))
            yield (
                int(recording.slices.end[number]),
                touched.tolist(),
                calls.tolist(),
                live[touched].tolist(),
            )

    def _rss(self, ns: int) -> int:
        """Resident memory as last read; 0: never."""
        if not hasattr(self, "_resident"):
            rows = timeline_of(self._export.profile)
            read = rows.rss > 0
            self._resident = rows.time[read], rows.rss[read]
        times, sizes = self._resident
        at = int(np.searchsorted(times, ns, side="right")) - 1
        return int(sizes[at]) if at >= 0 else 0

    # Each returns how many blocks were allocated.

    def _follow(self, row: Row, held: int, reached: bool) -> int:
        """Brings a stack towards what it held: with the peak's blocks before it, with the end's
        after it."""
        made = 0
        if not reached:
            for group in (row.both, row.peak):
                room = min(held - row.live, self._peak_bytes - self._total)
                made += self._allocate(row, group, room, kept=group is row.peak)
            return made
        while row.freeable and row.live > held:
            size, count = row.freeable[-1]
            going = count if size == 0 else min(count, -(-(row.live - held) // size))
            self._free(row, size, going)
        room = min(held - row.live, self._peak_bytes - self._total)
        return made + self._allocate(row, row.end, room)

    def _allocate(self, row: Row, group: Blocks, room: int, *, kept: bool = False) -> int:
        made = 0
        if room < 0 or not group.left:
            return 0
        for size, count in group.take(room):
            self._add(row, size, count, kept=kept)
            made += count
        return made

    def _add(self, row: Row, size: int, count: int, *, kept: bool) -> None:
        if self._out is not None:
            self._out.settle(self._peak_bytes - self._total - size * count)
            self._out.allocate(row, size, count)
        row.live += size * count
        self._total += size * count
        if kept:
            row.freeable.append((size, count))

    def _free(self, row: Row, size: int, count: int) -> None:
        if self._out is not None:
            self._out.free(row, size, count)
        row.live -= size * count
        self._total -= size * count
        had = row.freeable.pop()[1]
        if had > count:
            row.freeable.append((size, had - count))

    def _to_the_peak(self, rows: list[Row]) -> None:
        self._time(self._peak_ns)
        for row in rows:
            for group in (row.both, row.peak):
                for size, count in group.all():
                    self._add(row, size, count, kept=group is row.peak)

    def _to_the_end(self, rows: list[Row]) -> None:
        self._time(self._export.recording.summary.duration_ns)
        for row in rows:
            while row.freeable:
                size, count = row.freeable[-1]
                self._free(row, size, count)
        for row in rows:
            for size, count in row.end.all():
                self._add(row, size, count, kept=False)

    # What comes and goes within a slice.

    def _come_and_go(self, row: Row, number: int, count: int) -> None:
        """At the most ``count`` blocks that are freed right away."""
        if count <= 0:
            return
        if self._out is None:
            self._asks.append((number, count, self._peak_bytes - self._total))
            return
        room = self._peak_bytes - self._total
        for size, some, at_once in self._places.get(self._asked, ()):
            self._out.come_and_go(row, size, some, at_once=at_once, room=room)
        self._asked += 1

    def _place(self, rows: list[Row]) -> None:
        """Gives blocks that come and go to the slices that asked for some and have room; what is
        left then comes first."""
        for ask, (number, wanted, room) in enumerate(self._asks):
            row = rows[number]
            found = []
            for group, at_once in ((row.temporary, True), (row.brief, False)):
                for pair in group.sizes:
                    going = min(pair[1], wanted)
                    # Two at a time of those that are not freed at once, so as not to seem so.
                    if going > 0 and (1 if at_once else 2) * pair[0] <= room:
                        pair[1] -= going
                        wanted -= going
                        found.append((pair[0], going, at_once))
            if found:
                self._places[ask] = found
        self._asks.clear()
        self._first = [
            [
                (size, count, at_once)
                for group, at_once in ((row.temporary, True), (row.brief, False))
                for size, count in group.sizes
                if count
            ]
            for row in rows
        ]
