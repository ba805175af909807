"""Tables of a recording that grows: what was decoded stays, sums of slices are kept up."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from heaptide.recording import _columns
from heaptide.recording._load import BESIDE_ROWS, Loader
from heaptide.recording._rows import Rows, join
from heaptide.recording._schema import BLOBS, METRICS, Kind
from heaptide.recording._tables import Figures, Slices, Totals
from heaptide.recording._totals import add_rows

if TYPE_CHECKING:
    from heaptide.recording._chunks import Chunk, ChunkFile

GROWING: Final = frozenset(
    {
        Kind.STRINGS,
        Kind.MODULES,
        Kind.CODES,
        Kind.FRAMES,
        Kind.STACKS,
        Kind.CONTEXTS,
        Kind.TIMELINE,
        Kind.MARKS,
        Kind.NOTES,
    }
)
"""Kinds of which every chunk counts; they are decoded when they come, and kept."""

_SLICE: Final = ("slice", "start", "end")

Array = NDArray[Any]


@dataclass
class _Table:
    """The rows of a kind, and its joined bytes with their lengths, if it has any."""

    rows: Rows = field(default_factory=lambda: Rows(0, {}))
    new_rows: list[Rows] = field(default_factory=list)
    starts: Figures = field(default_factory=lambda: np.zeros(1, np.int64))
    joined: bytes = b""
    new_blobs: list[tuple[Array, bytes]] = field(default_factory=list)  # lengths, bytes

    def settle(self) -> None:
        """Joins what has come since."""
        if self.new_rows:
            parts = [self.rows, *self.new_rows] if self.rows.count else self.new_rows
            self.rows, self.new_rows = join(parts), []
        if self.new_blobs:
            sizes = np.concatenate([lengths.astype(np.int64) for lengths, _ in self.new_blobs])
            self.starts = np.append(self.starts, self.starts[-1] + np.cumsum(sizes))
            self.joined = b"".join([self.joined, *(data for _, data in self.new_blobs)])
            self.new_blobs = []

    @property
    def count(self) -> int:
        return self.rows.count + sum(rows.count for rows in self.new_rows)


class Accumulated:
    """What a follower has decoded so far. Takes chunks in the order of the file."""

    def __init__(self) -> None:
        self.tables: dict[int, _Table] = {}
        self.slice_of: dict[int, tuple[int, int, int]] = {}  # by the chunk's offset
        self._sums = Totals.zeros(0)
        self._last: tuple[int, Rows] | None = None  # the last slice's number, and its rows
        self._numbers: set[int] = set()
        self.dirty = False  # the sums are those of slices that have been merged since

    def begin_anew(self, kind: int) -> None:
        """One chunk takes the place of all of a kind, as it does with --max-size."""
        self.tables.pop(kind, None)

    def take(self, chunk: Chunk, payload: bytes, file: ChunkFile) -> None:
        """Decodes a chunk of `GROWING` or of `deltas`. Raises RecordingError if it is malformed."""
        try:
            columns = _columns.decode(memoryview(payload))
        except _columns.PayloadError as error:
            raise file.malformed(chunk, str(error)) from None
        if chunk.kind == Kind.DELTAS:
            self._take_slice(chunk, columns, file)
            return
        table = self.tables.setdefault(chunk.kind, _Table())
        blobs = BLOBS.get(chunk.kind, {})
        for name, lengths in blobs.items():
            if lengths is not None:
                size, joined = columns.get(lengths), columns.get(name, np.zeros(0, np.uint8))
                size = np.zeros(0, np.int64) if size is None else size
                if int(size.sum()) != len(joined) or (size.size and int(size.min()) < 0):
                    raise file.malformed(chunk, f"{name} and {lengths} disagree")
                table.new_blobs.append((size, joined.tobytes()))
        table.new_rows.append(_checked(chunk, columns, blobs, file))

    def _take_slice(self, chunk: Chunk, columns: dict[str, Array], file: ChunkFile) -> None:
        found = [int(columns[n][0]) if len(columns.get(n, ())) else 0 for n in _SLICE]
        if any(not 0 <= value < 1 << 63 for value in found):
            raise file.malformed(chunk, "its times are out of range")
        number, start, end = found
        self.slice_of[chunk.offset] = (number, start, end)
        rows = _checked(chunk, columns, dict.fromkeys(BESIDE_ROWS), file)
        contexts = self.tables.get(Kind.CONTEXTS)
        count = 0 if contexts is None else contexts.count
        context = rows.figures("context")
        if context.size and (int(context.max()) >= count or int(context.min()) < 0):
            rows = rows.keep((context >= 0) & (context < count))
        if number in self._numbers:
            if self._last is None or self._last[0] != number:
                # A merged slice, of what is summed up already. Summed anew, to be sure.
                self.dirty = True
                return
            add_rows(self._sums, _negative(self._last[1]))
        if len(self._sums) < count:
            self._sums = _longer(self._sums, count)
        add_rows(self._sums, rows)
        self._numbers.add(number)
        self._last = (number, rows)

    def totals(self, count: int) -> Totals:
        """The sums of all slices, for each of `count` contexts: a copy."""
        return _longer(self._sums, count)

    def put_right(self, sums: Totals) -> None:
        """The sums of all slices that count, the last of which is written anew from here on."""
        self._sums, self.dirty = sums, False


class GrowingLoader(Loader):
    """A loader whose growing tables are decoded already."""

    def __init__(self, chunks: ChunkFile, so_far: Accumulated) -> None:
        super().__init__(chunks)
        self._so_far = so_far
        self._tables = {}
        for kind, table in so_far.tables.items():
            table.settle()
            self._tables[kind] = (table.starts, table.joined)
            self._cache[Kind(kind)] = Rows(table.rows.count, dict(table.rows.columns))
        for kind in GROWING - so_far.tables.keys():
            self._cache[kind] = Rows(0, {})
        slices = self.slices()
        kept = {chunk.offset: so_far.slice_of[chunk.offset] for chunk in self._delta_chunks}
        so_far.slice_of = kept
        count = self.rows(Kind.CONTEXTS).count
        if so_far.dirty:
            sums = Totals.zeros(count)
            for index in range(len(slices)):
                add_rows(sums, self.slice_rows(index))
            so_far.put_right(sums)
        self._totals = so_far.totals(count)

    @property
    def slice_chunks(self) -> list[Chunk]:
        """The chunks of the slices that count."""
        return self._delta_chunks

    def totals(self) -> Totals:
        return self._totals

    def blob(self, kind: Kind, name: str, lengths: str) -> tuple[Figures, bytes]:
        return self._tables.get(kind, (np.zeros(1, np.int64), b""))

    def _slice_of(self, chunk: Chunk) -> tuple[int, int, int]:
        return self._so_far.slice_of[chunk.offset]

    def slices(self) -> Slices:
        found = super().slices()
        # A merged slice whose first part was given up before it was read does not replace the
        # others by name.
        if np.any(found.start[1:] < found.end[:-1]):
            found = self._without_covered(found)
        return found

    def _without_covered(self, found: Slices) -> Slices:
        """Without slices in whose place a later chunk has one that covers them."""
        at = np.array([chunk.offset for chunk in self._delta_chunks])
        mixed = np.flatnonzero(found.start[1:] < found.end[:-1])
        rest = np.ones(len(found), np.bool_)
        for i in np.union1d(mixed, mixed + 1).tolist():
            around = (found.start <= found.start[i]) & (found.end >= found.end[i])
            rest[i] = not np.any(around & (at > at[i]))
        if not rest.all():
            self._so_far.dirty = True
            self._delta_chunks = [c for c, stays in zip(self._delta_chunks, rest) if stays]
            self._slices = Slices(found.start[rest], found.end[rest])
            return self._slices
        return found


def _checked(
    chunk: Chunk, columns: dict[str, Array], apart: dict[str, Any], file: ChunkFile
) -> Rows:
    row_wise = {name: column for name, column in columns.items() if name not in apart}
    lengths = {len(column) for column in row_wise.values()}
    if len(lengths) > 1:
        raise file.malformed(chunk, "its columns differ in length")
    if any(column.dtype.kind == "f" for column in row_wise.values()):
        raise file.malformed(chunk, "it has fractions where counts belong")
    return Rows(lengths.pop() if lengths else 0, row_wise)


def _negative(rows: Rows) -> Rows:
    signed = {name: -rows.figures(name) for name in rows.columns if name in METRICS}
    return Rows(rows.count, {"context": rows.figures("context"), **signed})


def _longer(sums: Totals, count: int) -> Totals:
    """A copy with a row for each of `count` contexts."""
    columns = {}
    for name in METRICS:
        columns[name] = np.zeros(count, np.int64)
        columns[name][: len(sums)] = getattr(sums, name)[:count]
    return Totals(**columns)
