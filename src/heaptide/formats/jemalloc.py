"""Heap profiles of jemalloc (``heap_v2``): sampled, a row for each stack and thread."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final

from heaptide.profile import COLUMNS, LEAK_COLUMNS

from ._addresses import Addresses, Row, addresses_of, row_of, unsampled
from ._builder import Builder
from .gperftools import put_sums

if TYPE_CHECKING:
    from ._source import Source

_KNOWN = ("alive_at_exit_bytes", "alive_at_exit_allocations")
_TOTALS = ("total_bytes", "allocations")
_HEADER = re.compile(rb"heap_v2/(\d{1,18})\s*")
_THREAD = re.compile(rb"\s*t(\*|\d{1,18}):(.*)")
_MAPS: Final = b"MAPPED_LIBRARIES:"
_ALL_THREADS: Final = -1

_Stacks = list[tuple[tuple[int, ...], dict[int, Row]]]


def read(source: Source) -> Builder:
    return read_lines(source, source.lines())


def read_lines(
    source: Source, lines: Iterator[bytes], names: Mapping[int, str] | None = None
) -> Builder:
    """Reads the profile that `lines` are; `names` of addresses, where a wrapper has them."""
    match = _HEADER.fullmatch(next(lines, b""))
    if match is None:
        raise source.malformed("it is no header of a heap profile of jemalloc")
    period = int(match[1])
    reading = _Reading(source, lines)
    reading.read()
    whole = reading.head.get(_ALL_THREADS)
    counted = bool(whole and whole.blocks) or any(
        row.blocks for _, rows in reading.stacks for row in rows.values()
    )
    known = {*_KNOWN, *(_TOTALS if counted else ())}
    lacks = [name for name in (*COLUMNS, *LEAK_COLUMNS) if name not in known]
    builder = Builder(
        "jemalloc", "a heap profile of jemalloc", [*lacks, "sizes", "lifetimes", "time"]
    )
    builder.end_reason = "snapshot"
    builder.sample_interval = period if period > 1 else 0
    addresses = Addresses(builder, lines, names)
    sums: dict[int, list[int]] = {}
    for stack, rows in reading.stacks:
        at = addresses.stack(stack)
        # Rows of threads where there are any: that of all is their sum.
        threads = {tid: row for tid, row in rows.items() if tid != _ALL_THREADS} or rows
        for tid, row in threads.items():
            thread = None
            if tid != _ALL_THREADS:
                thread = builder.thread(tid, reading.names.get(tid, ""))
            context = builder.context(at, thread=thread)
            known_row = sums.setdefault(context, [0, 0, 0, 0])
            for i, figure in enumerate(unsampled(row, period)):
                known_row[i] += figure
    if not any(tid != _ALL_THREADS for _, rows in reading.stacks for tid in rows):
        builder.lacks.add("threads")
    put_sums(source, builder, sums)
    return builder


class _Reading:
    """Stacks with their rows, up to the mappings."""

    def __init__(self, source: Source, lines: Iterator[bytes]) -> None:
        self._source, self._lines = source, lines
        self.head: dict[int, Row] = {}  # before the first stack: by thread
        self.names: dict[int, str] = {}
        self.stacks: _Stacks = []

    def read(self) -> None:
        for line in self._lines:
            if line.startswith(_MAPS):
                return
            if line.startswith(b"@"):
                self.stacks.append((addresses_of(self._source, line[1:]), {}))
            elif line.strip():
                self._row(line)

    def _row(self, line: bytes) -> None:
        match = _THREAD.fullmatch(line)
        if match is None:
            raise self._source.malformed("it is no row of a thread")
        tid = _ALL_THREADS if match[1] == b"*" else int(match[1])
        row, rest = row_of(self._source, match[2])
        name = rest.strip().decode("utf-8", "backslashreplace")
        if name and tid != _ALL_THREADS:
            self.names[tid] = name
        rows = self.stacks[-1][1] if self.stacks else self.head
        known = rows.get(tid)
        rows[tid] = row if known is None else known.plus(row)
