"""A recording that is written in steps, as the collector does it: chunks appended, then what they
supersede turned into voids, neighbouring voids into one, and their bytes into zeros."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from heaptide.recording import Kind, Writer
from heaptide.recording._chunks import CHUNK_HEADER, CHUNK_MAGIC
from heaptide.recording._crc import crc32c
from heaptide.recording._schema import FLAG_FINISHED

from .make import Builder, delta_columns, numbers

_APPENDED = (
    Kind.MODULES,
    Kind.CODES,
    Kind.FRAMES,
    Kind.STACKS,
    Kind.CONTEXTS,
    Kind.TIMELINE,
    Kind.MARKS,
    Kind.NOTES,
)
_STATES = (Kind.PROCESSES, Kind.THREADS)
_HEAVY = (Kind.PEAK, Kind.LIFETIMES, Kind.SIZES)


class Growing:
    """Writes what is new in ``build`` with each ``checkpoint()``."""

    def __init__(self, path: Path, build: Builder) -> None:
        self.path = path
        self.build = build
        self._writer = Writer(path, finished=False)
        self._written = dict.fromkeys(Kind, 0)
        self._code_bytes = 0
        self._texts = 0
        self._current: dict[object, tuple[int, int]] = {}  # what may be superseded: start, end
        self._voids: dict[int, int] = {}
        self._superseded: list[tuple[int, int]] = []
        self.append(Kind.META, {"json_bytes": json.dumps(build.meta).encode()})
        self._flush()

    def append(self, kind: Kind, columns: dict[str, Any], key: object = None) -> tuple[int, int]:
        """One chunk; ``key``: it supersedes the chunk that came with the same one."""
        start = self._writer.tell()
        self._writer.chunk(kind, columns, supersedes=key is not None or kind == Kind.META)
        region = (start, self._writer.tell())
        if key is not None:
            if key in self._current:
                self._superseded.append(self._current[key])
            self._current[key] = region
        return region

    def checkpoint(self, *, heavy: bool = True, partial: bool = False, void: bool = True) -> None:
        """What is new in the builder. ``partial``: its last slice is going to be written again."""
        build = self.build
        texts = [text.encode() for text in list(build.texts)[self._texts :]]
        if texts:
            self._texts += len(texts)
            lengths = numbers([len(text) for text in texts])
            self.append(Kind.STRINGS, {"s_len": lengths, "s_bytes": b"".join(texts)})
        for kind in (*_STATES, *(_HEAVY if heavy else ())):
            if build.tables[kind].rows:
                columns = build.tables[kind].columns()
                if kind in _STATES:
                    columns = {"row": numbers(range(len(build.tables[kind].rows))), **columns}
                self.append(kind, columns, kind)
        for kind in _APPENDED:
            self._append_rows(kind)
        first = self._written[Kind.DELTAS]
        for number, (start, end, changes) in enumerate(build.slices[first:], first):
            columns = delta_columns(number, start, end, changes)
            self.append(Kind.DELTAS, columns, (Kind.DELTAS, number))
        self._written[Kind.DELTAS] = len(build.slices) - partial
        self._flush()
        if void:
            self.void_superseded()

    def _append_rows(self, kind: Kind) -> None:
        build = self.build
        rows = build.tables[kind].rows[self._written[kind] :]
        if not rows:
            return
        names = dict.fromkeys(name for row in rows for name in row)
        columns: dict[str, Any] = {n: numbers([row.get(n, 0) for row in rows]) for n in names}
        if kind == Kind.CODES:
            columns["table_bytes"] = b"".join(build.code_tables[self._written[kind] :])
        self._written[kind] += len(rows)
        self.append(kind, columns)

    def merge_slices(self, first: int, stop: int) -> None:
        """One chunk for several slices, as with --max-size; it has the number of the first."""
        changes: dict[int, Any] = {}
        for _, _, part in self.build.slices[first:stop]:
            for context, change in part.items():
                before = changes.get(context)
                sums = change if before is None else map(sum, zip(before, change))
                changes[context] = type(change)(*sums)
        start, end = self.build.slices[first][0], self.build.slices[stop - 1][1]
        columns = delta_columns(first, start, end, changes)
        gone = [self._current.pop((Kind.DELTAS, number)) for number in range(first, stop)]
        self.append(Kind.DELTAS, columns, (Kind.DELTAS, first))
        self._superseded += gone
        self._flush()
        self.void_superseded()

    def join(self, kind: Kind) -> None:
        """One chunk in the place of all of a kind that appends, as with --max-size."""
        self.append(kind, self.build.tables[kind].columns(), (kind, "joined"))
        self._flush()

    def void_superseded(self) -> None:
        while self._superseded:
            self._void(*self._superseded.pop(0))

    def _void(self, start: int, end: int) -> None:
        first, last = start, end
        if last in self._voids:
            last = self._voids.pop(last)
        before = [at for at, stop in self._voids.items() if stop == first]
        if before:
            first = before[0]
        self._voids[first] = last
        with self.path.open("r+b") as file:
            file.seek(first)
            file.write(_void_header(last - first - CHUNK_HEADER.size))
            # All of it, where the collector's holes are of whole pages: nothing of it may matter.
            file.seek(max(start, first + CHUNK_HEADER.size))
            file.write(bytes(end - file.tell()))

    def finish(self) -> None:
        """The recording has ended: the file's flag says so."""
        self._writer.close()
        with self.path.open("r+b") as file:
            file.seek(12)
            file.write(bytes([FLAG_FINISHED, 0, 0, 0]))

    def _flush(self) -> None:
        self._writer._file.flush()

    def close(self) -> None:
        self._writer.close()

    @property
    def size(self) -> int:
        return os.stat(self.path).st_size  # noqa: PTH116


def _void_header(size: int) -> bytes:
    header = CHUNK_HEADER.pack(CHUNK_MAGIC, Kind.VOID, 0, 0, 0, size, size, 0, 0, 0, 0)[:-4]
    return header + crc32c(header).to_bytes(4, "little")
