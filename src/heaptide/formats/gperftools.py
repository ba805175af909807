"""Heap profiles of gperftools, and of others that write its text: exact, sampled, of growth.

``live blocks: live bytes [blocks: bytes] @ addresses`` a line, innermost first.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import chain
from typing import TYPE_CHECKING, Final

import numpy as np

from heaptide.profile import COLUMNS, LEAK_COLUMNS

from ._addresses import Addresses, Row, addresses_of, row_of, unsampled
from ._builder import Builder

if TYPE_CHECKING:
    from ._source import Source

_KNOWN = ("alive_at_exit_bytes", "alive_at_exit_allocations")
_TOTALS = ("total_bytes", "allocations")
_REST = ("deallocations", "sizes", "lifetimes", "threads", "time")
_HEADER = re.compile(rb"heap profile: *[\d:\s]+\[[\d:\s]+\] *@ *([a-z]+(?:_v2)?)/?(\d{0,19})\s*")
_MAPS: Final = b"MAPPED_LIBRARIES:"
_MOST = 1 << 62


def read(source: Source) -> Builder:
    return read_lines(source, source.lines())


def read_lines(
    source: Source, lines: Iterator[bytes], names: Mapping[int, str] | None = None
) -> Builder:
    """Reads the profile that `lines` are; `names` of addresses, where a wrapper has them."""
    kind, period = _kind(source, next(lines, b""))
    growth = kind.startswith("growth")
    exact = kind == "heapprofile"
    title = "a growth profile of gperftools" if growth else "a heap profile of gperftools"
    known = {*_KNOWN, *(_TOTALS if exact else ())}
    lacks = [name for name in (*COLUMNS, *LEAK_COLUMNS) if name not in known]
    builder = Builder("gperftools", title, [*lacks, *_REST])
    builder.end_reason = "snapshot"
    builder.sample_interval = int(period) if period > 1 else 0
    rows: list[tuple[tuple[int, ...], Row]] = []
    maps: Iterator[bytes] = iter(())
    for line in lines:
        if line.startswith(_MAPS):
            maps = lines
            break
        if line.strip():
            row, rest = row_of(source, line)
            _, at, stack = rest.partition(b"@")
            if not at:
                raise source.malformed("it has no @ before a stack")
            rows.append((addresses_of(source, stack), unsampled(row, period)))
    if growth:
        builder.note("what is shown as alive is what the heap has grown by, from the system")
    return put(source, builder, Addresses(builder, chain(maps), names), rows)


def _kind(source: Source, header: bytes) -> tuple[str, float]:
    """What the profile counts, and the mean distance of its samples in bytes; 1: it is exact."""
    match = _HEADER.fullmatch(header)
    if match is None:
        raise source.malformed("it is no header of a heap profile")
    kind, number = match[1].decode(), int(match[2] or 0)
    if number >= _MOST:
        raise source.malformed("its sampling period is out of range")
    if kind in ("heap_v2", "heapz_v2"):
        return kind, max(number, 1)
    if kind == "heap":  # Go's, long ago: twice the rate
        return kind, max(number / 2, 1)
    return kind, 1


def put(
    source: Source,
    builder: Builder,
    addresses: Addresses,
    rows: list[tuple[tuple[int, ...], Row]],
) -> Builder:
    """The figures of stacks; rows of one stack add up."""
    sums: dict[int, list[int]] = {}
    for stack, row in rows:
        context = builder.context(addresses.stack(stack))
        known = sums.setdefault(context, [0, 0, 0, 0])
        for i, figure in enumerate(row):
            known[i] += figure
    put_sums(source, builder, sums)
    return builder


def put_sums(source: Source, builder: Builder, sums: dict[int, list[int]]) -> None:
    """Figures of contexts, in the order of a Row's."""
    for i in range(4):
        if sum(row[i] for row in sums.values()) >= _MOST:
            raise source.wrong("the sum of its figures is larger than any memory")
    table = np.array(list(sums.values()), np.int64).reshape(-1, 4)
    builder.totals(
        np.fromiter(sums, np.int64, len(sums)),
        blocks=table[:, 2],
        bytes=table[:, 3],
        live_blocks=table[:, 0],
        live_bytes=table[:, 1],
    )
