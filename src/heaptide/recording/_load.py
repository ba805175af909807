"""From chunks to tables, with every reference checked.

A prefix of a recording may lack rows that others refer to. Such references go to one blank row
(process, frame, stack), to the empty string, or to -1, as the table's description allows; figures
of contexts that are missing are dropped with a warning.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import fields
from functools import cached_property
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from heaptide.recording import _columns, _spreads
from heaptide.recording._chunks import Chunk, ChunkFile
from heaptide.recording._joined import TOO_MANY_ROWS, Array, Joined
from heaptide.recording._rows import Rows, join
from heaptide.recording._schema import (
    ALL_PROCESSES,
    LIFETIME_BUCKETS,
    METRICS,
    SIZE_BUCKETS,
    WIRE_ALL_PROCESSES,
    FrameKind,
    Kind,
    SpecialFrame,
)
from heaptide.recording._strings import StringColumn, Strings
from heaptide.recording._tables import (
    Accesses,
    Codes,
    Contexts,
    Deltas,
    End,
    Extras,
    Figures,
    Frames,
    Ids,
    Lifetimes,
    Marks,
    Modules,
    Notes,
    Peak,
    Processes,
    Sizes,
    Slices,
    Spreads,
    Stacks,
    Symbols,
    Threads,
    Timeline,
    Totals,
)

# Slice number and times come first in a `deltas` payload: the descriptors of 14 columns and three
# numbers, each padded.
_DELTAS_HEAD: Final = 1024

_SLICE: Final = ("slice", "start", "end")
BESIDE_ROWS: Final = (*_SLICE, *_spreads.COLUMNS)
"""Columns of `deltas` that have no row for each context."""

# Looks at other slices while slices are put in order, in total: a week's recording takes ten
# million, a second's work is a hundred million.
_MOST_LOOKS: Final = 100_000_000


class Loader(Joined):
    """Builds the tables of one file."""

    def __init__(self, chunks: ChunkFile) -> None:
        super().__init__(chunks)
        self._delta_chunks: list[Chunk] = []
        self._slices: Slices | None = None
        self.warnings: list[str] = []

    # Small things.

    def meta(self) -> dict[str, Any]:
        chunks = self._chunks.of_kind(Kind.META)
        if not chunks:
            return {}
        text = self.columns(chunks[-1]).get("json_bytes", np.zeros(0, np.uint8)).tobytes()
        try:
            meta = json.loads(text)
        except (ValueError, RecursionError):
            meta = None
        if not isinstance(meta, dict):
            raise self._chunks.malformed(chunks[-1], "it is no JSON object")
        return meta

    def end(self) -> End | None:
        rows = self.rows(Kind.END)
        if rows.count == 0:
            return None
        return End(self.strings[int(rows.figures("reason")[-1])], int(rows.figures("time")[-1]))

    @cached_property
    def strings(self) -> Strings:
        return Strings(*self.blob(Kind.STRINGS, "s_bytes", "s_len"))

    def _text(self, rows: Rows, name: str) -> StringColumn:
        return _text_of(rows, name, self.strings)

    # Who ran.

    @cached_property
    def _blank_process(self) -> int:
        """1 if a row is needed for references to processes that are missing."""
        count = self.rows(Kind.PROCESSES).count
        return int(
            any(
                _dangles(self.rows(kind).figures("process"), count)
                for kind in (Kind.THREADS, Kind.MODULES, Kind.CONTEXTS)
            )
        )

    @property
    def _process_count(self) -> int:
        return self.rows(Kind.PROCESSES).count + self._blank_process

    def _process(self, rows: Rows) -> Ids:
        return rows.ids("process", self._process_count, blank=self._process_count - 1)

    def processes(self) -> Processes:
        rows = self.rows(Kind.PROCESSES)
        if self._blank_process:
            rows = join([rows, Rows(1, {})])
        return Processes(
            parent=rows.ids("parent", rows.count, base=1),
            exe=self._text(rows, "exe"),
            command=self._text(rows, "command"),
            **_figures(rows, Processes),
        )

    def threads(self) -> Threads:
        rows = self.rows(Kind.THREADS)
        return Threads(
            process=self._process(rows),
            name=self._text(rows, "name"),
            **_figures(rows, Threads),
        )

    def modules(self) -> Modules:
        rows = self.rows(Kind.MODULES)
        return Modules(
            process=self._process(rows),
            bias=rows.unsigned("bias"),
            start=rows.unsigned("start"),
            end=rows.unsigned("end"),
            path=self._text(rows, "path"),
            build_id=self._text(rows, "build_id"),
        )

    # Stacks.

    def codes(self) -> Codes:
        rows = self.rows(Kind.CODES)
        starts, joined = self.blob(Kind.CODES, "table_bytes", "table_len")
        if len(starts) != rows.count + 1:
            starts = np.zeros(rows.count + 1, np.int64)
        return Codes(
            filename=self._text(rows, "filename"),
            qualname=self._text(rows, "qualname"),
            firstlineno=rows.figures("firstlineno"),
            python_version=rows.figures("python_version"),
            table_start=starts,
            table_bytes=joined,
        )

    @cached_property
    def _blank_stack(self) -> int:
        count = self.rows(Kind.STACKS).count
        return int(_dangles(self.rows(Kind.CONTEXTS).figures("stack"), count))

    @cached_property
    def _blank_frame(self) -> int:
        count = self.rows(Kind.FRAMES).count
        frames = self.rows(Kind.STACKS).figures("frame")
        return int(bool(self._blank_stack) or _dangles(frames, count))

    def frames(self) -> Frames:
        rows = self.rows(Kind.FRAMES)
        if self._blank_frame:
            rows = join([rows, Rows(1, {"kind": np.array([FrameKind.SPECIAL])})])
        kind = rows.small("kind")
        ref = rows.figures("ref")
        native, python = kind == FrameKind.NATIVE, kind == FrameKind.PYTHON
        modules, codes = self.rows(Kind.MODULES).count, self.rows(Kind.CODES).count
        ref[native] -= 1
        ref[native & ((ref < 0) | (ref >= modules))] = -1
        lost = (python & ((ref < 0) | (ref >= codes))) | ~(native | python)
        kept = (kind == FrameKind.SPECIAL) & (ref == SpecialFrame.CUT_OFF)
        kind[lost] = FrameKind.SPECIAL
        ref[lost & ~kept] = SpecialFrame.NO_STACK
        return Frames(kind=kind, ref=ref.astype(np.int32), offset=rows.unsigned("offset"))

    def stacks(self) -> Stacks:
        rows = self.rows(Kind.STACKS)
        frames = self.rows(Kind.FRAMES).count + self._blank_frame
        parent = rows.ids("parent", rows.count, base=1)
        parent[parent >= np.arange(rows.count)] = -1
        frame = rows.ids("frame", frames, blank=frames - 1)
        if self._blank_stack:
            parent = np.append(parent, np.int32(-1))
            frame = np.append(frame, np.int32(frames - 1))
        return Stacks(parent=parent, frame=frame)

    def contexts(self) -> Contexts:
        rows = self.rows(Kind.CONTEXTS)
        stacks = self.rows(Kind.STACKS).count + self._blank_stack
        return Contexts(
            process=self._process(rows),
            thread=rows.ids("thread", self.rows(Kind.THREADS).count),
            stack=rows.ids("stack", stacks, blank=stacks - 1),
            kind=rows.small("kind"),
        )

    # Figures.

    def slices(self) -> Slices:
        """Slices that count, in order of time; remembers them, and the chunk of each."""
        if self._slices is not None:
            return self._slices
        current: dict[int, tuple[int, int, Chunk]] = {}
        looks = 0
        for chunk in self._chunks.of_kind(Kind.DELTAS):
            number, start, end = self._slice_of(chunk)
            before = current.pop(number, None)
            if before is not None and (start, end) != before[:2]:
                # A merged slice takes the number of its first part and the place of all of them.
                looks += len(current)
                if looks > _MOST_LOOKS:
                    raise self._chunks.malformed(chunk, "too many slices replace each other")
                inside = [n for n, (s, e, _) in current.items() if start <= s and e <= end]
                for covered in inside:
                    del current[covered]
            current[number] = (start, end, chunk)
        order = sorted(current.items(), key=lambda item: (item[1][0], item[1][1], item[0]))
        self._delta_chunks = [chunk for _, (_, _, chunk) in order]
        times = np.array([(s, e) for _, (s, e, _) in order], np.int64).reshape(-1, 2)
        self._slices = Slices(start=times[:, 0].copy(), end=times[:, 1].copy())
        return self._slices

    def _slice_of(self, chunk: Chunk) -> tuple[int, int, int]:
        try:
            columns = _columns.decode(self._chunks.payload_head(chunk, _DELTAS_HEAD), partial=True)
        except _columns.PayloadError:
            columns = {}
        if any(len(columns.get(name, ())) != 1 for name in ("slice", "start", "end")):
            columns = self.columns(chunk)
        found = [int(columns[n][0]) if len(columns.get(n, ())) else 0 for n in _SLICE]
        if any(not 0 <= value < 1 << 63 for value in found):
            raise self._chunks.malformed(chunk, "its times are out of range")
        return found[0], found[1], found[2]

    def slice_rows(self, index: int) -> Rows:
        """The deltas of slice `index` (call `slices` first), of contexts that exist."""
        chunk = self._delta_chunks[index]
        return self._slice_rows(chunk, self.columns(chunk))

    def _slice_rows(self, chunk: Chunk, columns: dict[str, Array]) -> Rows:
        rows = self.checked(chunk, {n: c for n, c in columns.items() if n not in BESIDE_ROWS})
        if rows.count > self._chunks.most_rows:
            raise self._chunks.malformed(chunk, TOO_MANY_ROWS)
        return self.of_contexts(rows, "deltas")

    def slice_spread(self, index: int) -> Spreads:
        """How the blocks of slice `index` (call `slices` first) are spread; nothing where that was
        not recorded."""
        chunk = self._delta_chunks[index]
        return self._slice_spread(chunk, self.columns(chunk))

    def slice_parts(self, index: int) -> tuple[Rows, Spreads]:
        """Both, decoded once."""
        chunk = self._delta_chunks[index]
        columns = self.columns(chunk)
        return self._slice_rows(chunk, columns), self._slice_spread(chunk, columns)

    def _slice_spread(self, chunk: Chunk, columns: dict[str, Array]) -> Spreads:
        try:
            return _spreads.read(columns, self.rows(Kind.THREADS).count)
        except ValueError as error:
            raise self._chunks.malformed(chunk, str(error)) from None

    def totals(self) -> Totals | None:
        """The sums over all slices, if the finishing pass has written them down."""
        if not self._chunks.of_kind(Kind.TOTALS):
            return None
        rows = self.of_contexts(self.rows(Kind.TOTALS), "totals")
        sums = Totals.zeros(self.rows(Kind.CONTEXTS).count)
        context = rows.figures("context")
        for name in METRICS:
            if name in rows:
                np.add.at(getattr(sums, name), context, rows.figures(name))
        return sums

    def deltas(self, wanted: Iterable[int]) -> Deltas:
        parts = [self.slice_rows(index) for index in wanted]
        rows = join(parts)
        offsets = np.cumsum([0, *(part.count for part in parts)])
        none = np.zeros(rows.count, np.uint8)
        return Deltas(
            offsets=offsets.astype(np.int64),
            context=rows.figures("context").astype(np.int32),
            **{name: rows.columns.get(name, none) for name in METRICS},
        )

    def of_contexts(self, rows: Rows, what: str) -> Rows:
        """Rows whose context exists."""
        context = rows.columns.get("context")
        count = self.rows(Kind.CONTEXTS).count
        if context is None:
            return rows if count else Rows(0, {})
        if context.size == 0 or (int(context.max()) < count and int(context.min()) >= 0):
            return rows
        text = f"{self._chunks.path}: figures ({what}) of contexts that are missing were dropped"
        if text not in self.warnings:
            self.warnings.append(text)
        return rows.keep((context >= 0) & (context < count))

    def _of_processes(self, kind: Kind) -> tuple[Rows, Ids]:
        """Rows of processes that exist or of the sum of all, and their processes."""
        rows = self.rows(kind)
        process = rows.figures("process")
        process[process == WIRE_ALL_PROCESSES] = ALL_PROCESSES
        exists = (process >= ALL_PROCESSES) & (process < self._process_count)
        if not exists.all():
            rows, process = rows.keep(exists), process[exists]
        return rows, process.astype(np.int32)

    def timeline(self) -> Timeline:
        rows, process = self._of_processes(Kind.TIMELINE)
        return Timeline(
            process=process,
            **_figures(rows, Timeline),
        )

    def peak(self) -> Peak:
        rows, process = self._of_processes(Kind.PEAK)
        rows = self.of_contexts(Rows(rows.count, {**rows.columns, "process": process}), "peak")
        return Peak(
            process=rows.figures("process").astype(np.int32),
            context=rows.figures("context").astype(np.int32),
            blocks=rows.figures("blocks"),
            bytes=rows.figures("bytes"),
        )

    def lifetimes(self) -> Lifetimes:
        rows = self.of_contexts(self.rows(Kind.LIFETIMES), "lifetimes")
        return Lifetimes(
            context=rows.figures("context").astype(np.int32),
            by_allocations=_matrix(rows, "by_allocations", LIFETIME_BUCKETS),
            by_time=_matrix(rows, "by_time", LIFETIME_BUCKETS),
        )

    def sizes(self) -> Sizes:
        rows = self.of_contexts(self.rows(Kind.SIZES), "sizes")
        return Sizes(
            context=rows.figures("context").astype(np.int32),
            counts=_matrix(rows, "size", SIZE_BUCKETS),
        )

    def extras(self) -> Extras:
        rows = self.of_contexts(self.rows(Kind.EXTRAS), "extras")
        return Extras(
            context=rows.figures("context").astype(np.int32),
            metric=self._text(rows, "metric"),
            words=self._text(rows, "words"),
            unit=self._text(rows, "unit"),
            value=rows.figures("value"),
        )

    def accesses(self) -> Accesses:
        rows = self.of_contexts(self.rows(Kind.ACCESSES), "accesses")
        return Accesses(
            context=rows.figures("context").astype(np.int32),
            run=rows.figures("run"),
            count=rows.figures("count"),
        )

    # Words.

    def marks(self) -> Marks:
        rows = self.rows(Kind.MARKS)
        return Marks(
            time=rows.figures("time"),
            process=rows.ids("process", self._process_count),
            thread=rows.ids("thread", self.rows(Kind.THREADS).count),
            name=self._text(rows, "name"),
        )

    def notes(self) -> Notes:
        rows = self.rows(Kind.NOTES)
        return Notes(
            time=rows.figures("time"),
            process=rows.ids("process", self._process_count),
            text=self._text(rows, "text"),
        )

    def symbols(self) -> Symbols | None:
        if not self._chunks.of_kind(Kind.SYMBOLS):
            return None
        return self.symbols_of(self.rows(Kind.SYMBOLS), self.strings)

    def symbols_of(self, rows: Rows, strings: Strings) -> Symbols:
        """The table of `rows`, as a chunk of symbols has them."""
        frames = self.rows(Kind.FRAMES).count + self._blank_frame
        frame = rows.ids("frame", frames)
        rows = rows.keep(frame >= 0)
        frame = frame[frame >= 0]
        if np.any(frame[1:] < frame[:-1]):
            order = np.argsort(frame, kind="stable")
            rows = Rows(rows.count, {name: column[order] for name, column in rows.columns.items()})
        counts = np.bincount(frame, minlength=frames)
        self._check_inlined(counts)
        return Symbols(
            offsets=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
            function=_text_of(rows, "function", strings),
            file=_text_of(rows, "file", strings),
            line=rows.figures("line"),
            column=rows.figures("column"),
            end_line=rows.figures("end_line"),
            end_column=rows.figures("end_column"),
            language=rows.small("language"),
        )

    def _check_inlined(self, functions: NDArray[np.int64]) -> None:
        """Refuses frames of so many functions that the stacks, with each function inlined into them
        a place of its own, would be out of proportion to the file. `functions`: of each frame."""
        frame = self.rows(Kind.STACKS).ids("frame", len(functions), blank=len(functions) - 1)
        if len(frame) and int(functions[frame].sum()) > 4 * self._chunks.most_rows:
            chunk = self._chunks.of_kind(Kind.SYMBOLS)[-1]
            raise self._chunks.malformed(chunk, "it has too many functions for one frame")


def _text_of(rows: Rows, name: str, strings: Strings) -> StringColumn:
    return StringColumn(rows.ids(name, len(strings), blank=0), strings)


def _figures(rows: Rows, table: type) -> dict[str, Any]:
    """The columns that `table` declares as plain figures; their names are those of the file."""
    return {f.name: rows.figures(f.name) for f in fields(table) if f.type == "Figures"}


def _matrix(rows: Rows, name: str, buckets: int) -> Figures:
    return np.stack([rows.figures(f"{name}_{i}") for i in range(buckets)], axis=1)


def _dangles(rows: Figures, limit: int) -> bool:
    return bool(np.any((rows < 0) | (rows >= limit)))
