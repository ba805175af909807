"""A recording's sums as the events of a heaptrack file that have the same sums.

A recording knows how much each stack allocated and freed in each slice of time, not block by block.
The events are made so that, for each stack, the number of allocations, what is live at the peak and
what is live at the end are exact, and nothing is ever above the peak; in between, what is live
follows the slices as far as whole blocks allow. Blocks of a stack have the sizes that make these
sums come out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from heaptide.errors import UsageError
from heaptide.profile import COLUMNS, composed_at, summarize, timeline_of
from heaptide.recording import FrameKind

from ._names import one_line

if TYPE_CHECKING:
    from ._export import Export

Ints = npt.NDArray[np.int64]

MOST_CALLS: Final = 1_000_000_000
"""Of which the file has about 10 bytes each, before it is compressed."""
_VERSION: Final = b"v 10400 3\n"
_NO_FILE: Final = "??"
_CHUNK: Final = 1 << 20  # bytes that are handed on at a time
_EVENTS: Final = 1 << 16  # repeated at a time


def write(export: Export, file: IO[bytes]) -> None:
    plan = _Plan(export)
    plan.run(None)
    out = _Output(export, file)
    out.head()
    plan.run(out)
    out.flush()


# ----------------------------------------------------------------------------------- sums


class _Blocks:
    """``count`` blocks of ``size`` bytes in all: of two sizes that differ by one."""

    __slots__ = ("left", "sizes")

    def __init__(self, count: int, size: int) -> None:
        self.sizes: list[list[int]] = []  # [size of one, how many]
        self.left = count
        if count > 0:
            one, more = divmod(max(size, 0), count)
            self.sizes = [[one, count - more], [one + 1, more]]
            self.sizes = [pair for pair in self.sizes if pair[1]]

    def take(self, room: int, most: int | None = None) -> Iterator[tuple[int, int]]:
        """Takes blocks out as long as they fit into ``room``: (size of one, how many)."""
        for pair in self.sizes:
            count = pair[1] if most is None else min(pair[1], most)
            if pair[0] > 0:
                count = min(count, room // pair[0])
            if count <= 0:
                continue
            pair[1] -= count
            self.left -= count
            room -= count * pair[0]
            if most is not None:
                most -= count
            yield pair[0], count

    def all(self) -> Iterator[tuple[int, int]]:
        for pair in self.sizes:
            if pair[1]:
                yield pair[0], pair[1]
                pair[1] = 0
        self.left = 0


@dataclass
class _Row:
    """One stack. Blocks live at the peak and at the end, at one of both, or at neither."""

    stack: int
    both: _Blocks
    peak: _Blocks
    end: _Blocks
    temporary: _Blocks  # freed before the next allocation
    brief: _Blocks  # freed before the end, and not live at the peak
    live: int = 0
    freeable: list[tuple[int, int]] = field(default_factory=list)  # of the peak's: (size, count)


def _row(stack: int, calls: int, total: int, temporary: int, sums: tuple[int, ...]) -> _Row:
    """Divides a stack's blocks. ``sums``: blocks and bytes at the peak, and at the end.

    How many are in both is not known: as many as may be. There is always a number that leaves
    nothing negative, where the figures are of real blocks; of estimates the nearest is taken.
    """
    peak_count, peak, end_count, end = sums
    peak_count, end_count = (
        max(count, int(size > 0)) for count, size in ((peak_count, peak), (end_count, end))
    )
    least = min(peak_count, end_count)
    equal = peak_count == end_count and peak == end
    fits = (peak_count < end_count and peak <= end) or (end_count < peak_count and end <= peak)
    both_count, both = least, min(peak, end)
    if least and not (equal or fits):
        both_count = least - 1
        most = max(peak_count, end_count)
        if calls - most - 1 <= 0:  # nothing else is left to take what remains
            both = max(0, min(both, peak + end - total))
        if both_count == 0:
            both = 0
    others = max(0, calls - peak_count - end_count + both_count)
    rest = max(0, total - peak - end + both) if others else 0
    temporary = min(temporary, others)
    brief_bytes = rest * (others - temporary) // others if others else 0
    return _Row(
        stack,
        _Blocks(both_count, both),
        _Blocks(peak_count - both_count, peak - both),
        _Blocks(end_count - both_count, end - both),
        _Blocks(temporary, rest - brief_bytes),
        _Blocks(others - temporary, brief_bytes),
    )


# ----------------------------------------------------------------------------------- events


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

    def _made(self) -> list[_Row]:
        names = ("peak_blocks", "peak_bytes", "alive_at_exit_allocations", "alive_at_exit_bytes")
        sums = np.stack([self._columns[name] for name in names], axis=1).tolist()
        return [
            _row(stack, calls, total, temporary, tuple(four))
            for stack, calls, total, temporary, four in zip(
                self._stacks.tolist(),
                self._calls.tolist(),
                self._columns["total_bytes"].tolist(),
                self._columns["temporary_allocations"].tolist(),
                sums,
            )
        ]

    def run(self, out: _Output | None) -> None:
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

    def _stay(self, rows: list[_Row]) -> None:
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

    def _follow(self, row: _Row, held: int, reached: bool) -> int:
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

    def _allocate(self, row: _Row, group: _Blocks, room: int, *, kept: bool = False) -> int:
        made = 0
        if room < 0 or not group.left:
            return 0
        for size, count in group.take(room):
            self._add(row, size, count, kept=kept)
            made += count
        return made

    def _add(self, row: _Row, size: int, count: int, *, kept: bool) -> None:
        if self._out is not None:
            self._out.settle(self._peak_bytes - self._total - size * count)
            self._out.allocate(row, size, count)
        row.live += size * count
        self._total += size * count
        if kept:
            row.freeable.append((size, count))

    def _free(self, row: _Row, size: int, count: int) -> None:
        if self._out is not None:
            self._out.free(row, size, count)
        row.live -= size * count
        self._total -= size * count
        had = row.freeable.pop()[1]
        if had > count:
            row.freeable.append((size, had - count))

    def _to_the_peak(self, rows: list[_Row]) -> None:
        self._time(self._peak_ns)
        for row in rows:
            for group in (row.both, row.peak):
                for size, count in group.all():
                    self._add(row, size, count, kept=group is row.peak)

    def _to_the_end(self, rows: list[_Row]) -> None:
        self._time(self._export.recording.summary.duration_ns)
        for row in rows:
            while row.freeable:
                size, count = row.freeable[-1]
                self._free(row, size, count)
        for row in rows:
            for size, count in row.end.all():
                self._add(row, size, count, kept=False)

    # What comes and goes within a slice.

    def _come_and_go(self, row: _Row, number: int, count: int) -> None:
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

    def _place(self, rows: list[_Row]) -> None:
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


class _Output:
    """Records of the format, each table's row before its first use."""

    def __init__(self, export: Export, file: IO[bytes]) -> None:
        self._export, self._file = export, file
        self._recording, self._locations = export.recording, export.profile.locations
        self._strings: dict[str, int] = {"": 0}
        self._instructions: dict[int, int] = {}
        self._traces: dict[int, int] = {}
        self._infos: dict[tuple[int, int, bool], int] = {}
        self._parts: list[bytes] = []
        self._size = 0
        self._now = -1
        self._said_rss = 0
        self._waiting: tuple[_Row, int] | None = None  # a block that comes and goes: and its size
        size = self._recording.meta.get("page_size")
        self._page = size if isinstance(size, int) and 0 < size < 1 << 30 else 4096

    def _put(self, data: bytes) -> None:
        self._parts.append(data)
        self._size += len(data)
        if self._size >= _CHUNK:
            self.flush()

    def flush(self) -> None:
        self._file.write(b"".join(self._parts))
        self._parts, self._size = [], 0

    def head(self) -> None:
        command = one_line(" ".join(self._export.command))
        self._put(_VERSION)
        self._put(b"X " + command.encode("utf-8", "backslashreplace") + b"\n")
        self._put(f"I {self._page:x} {(1 << 34) // self._page:x}\n".encode())

    def time(self, ns: int, rss: int) -> None:
        ms = max(ns // 1_000_000, self._now)
        if ms > self._now:
            self._put(f"c {ms:x}\n".encode())
            self._now = ms
        pages = rss // self._page
        if pages and pages != self._said_rss:
            self._put(f"R {pages:x}\n".encode())
            self._said_rss = pages

    def allocate(self, row: _Row, size: int, count: int) -> None:
        self._repeat(b"+ %x\n" % self._info(row, size), count)

    def free(self, row: _Row, size: int, count: int) -> None:
        self._repeat(b"- %x\n" % self._info(row, size), count)

    def come_and_go(self, row: _Row, size: int, count: int, *, at_once: bool, room: int) -> None:
        """A free right after its allocation is what heaptrack calls temporary: two in turn are
        none, of two kinds that differ in nothing. One that is over waits for another."""
        if at_once or 2 * size > room:
            one = self._info(row, size)
            self._repeat(b"+ %x\n- %x\n" % (one, one), count)
            return
        if count > 1:
            one, other = self._info(row, size), self._info(row, size, again=True)
            self._repeat(b"+ %x\n+ %x\n- %x\n- %x\n" % (one, other, one, other), count // 2)
        if count % 2 == 0:
            return
        waiting = self._waiting
        if waiting is None:
            self._waiting = row, size
        elif waiting[1] + size > room:
            self._alone(row, size)
        else:
            one, other = self._info(*waiting), self._info(row, size, again=waiting == (row, size))
            self._put(b"+ %x\n+ %x\n- %x\n- %x\n" % (one, other, one, other))
            self._waiting = None

    def settle(self, room: int) -> None:
        """Before what is live grows and leaves so many bytes of room below the peak."""
        if self._waiting is not None and self._waiting[1] > room:
            self._alone(*self._waiting)
            self._waiting = None

    def _alone(self, row: _Row, size: int) -> None:
        one = self._info(row, size)
        self._put(b"+ %x\n- %x\n" % (one, one))

    def _repeat(self, record: bytes, count: int) -> None:
        while count > 0:
            some = min(count, _EVENTS)
            self._put(record * some)
            count -= some

    # Tables.

    def _info(self, row: _Row, size: int, *, again: bool = False) -> int:
        key = (row.stack, size, again)
        found = self._infos.get(key)
        if found is None:
            trace = self._trace(row.stack)
            found = self._infos[key] = len(self._infos)
            self._put(f"a {size:x} {trace:x}\n".encode())
        return found

    def _trace(self, stack: int) -> int:
        """The number of a stack, after those of its callers."""
        parents, frames = self._recording.stacks.parent, self._recording.stacks.frame
        todo = []
        while stack >= 0 and stack not in self._traces:
            todo.append(stack)
            stack = int(parents[stack])
        above = self._traces.get(stack, 0)
        for one in reversed(todo):
            instruction = self._instruction(int(frames[one]))
            self._put(f"t {instruction:x} {above:x}\n".encode())
            above = self._traces[one] = len(self._traces) + 1
        return above

    def _instruction(self, frame: int) -> int:
        found = self._instructions.get(frame)
        if found is not None:
            return found
        at, frames = self._locations, self._recording.frames
        first = int(at.first[frame])
        rows = range(first, first + int(at.count[frame]))
        native = int(frames.kind[frame]) == FrameKind.NATIVE
        address = int(frames.offset[frame]) if native else frame + 1
        module = self._string(self._export.profile.module_of(first))
        words = []
        for row in rows:
            one = self._export.function(row)
            # A place without a file cannot be told from the next one.
            file = one.file or (_NO_FILE if len(rows) > 1 else "")
            words.append(f"{self._string(one.name):x}")
            if file:
                words.append(f"{self._string(file):x} {one.line:x}")
        self._put(f"i {address:x} {module:x} {' '.join(words)}\n".encode())
        found = self._instructions[frame] = len(self._instructions) + 1
        return found

    def _string(self, text: str) -> int:
        text = one_line(text)
        found = self._strings.get(text)
        if found is None:
            found = self._strings[text] = len(self._strings)
            data = text.encode("utf-8", "backslashreplace")
            self._put(b"s %x %s\n" % (len(data), data))
        return found
