"""Names and numbers of the recording format, as in docs/format.md and native/wire/wire.h."""

from __future__ import annotations

from enum import IntEnum
from typing import Final

MAGIC: Final = b"heaptide"
FORMAT_VERSION: Final = 2
FLAG_FINISHED: Final = 1
FLAG_COMPACTED: Final = 2

# In a `process` column: the sum over all processes. Tables hold ALL_PROCESSES instead.
WIRE_ALL_PROCESSES: Final = 0xFFFFFFFF
ALL_PROCESSES: Final = -1


class Kind(IntEnum):
    """Kinds of chunks."""

    VOID = 0
    META = 1
    STRINGS = 2
    PROCESSES = 3
    THREADS = 4
    MODULES = 5
    CODES = 6
    FRAMES = 7
    STACKS = 8
    CONTEXTS = 9
    DELTAS = 10
    TIMELINE = 11
    PEAK = 12
    LIFETIMES = 13
    SIZES = 14
    MARKS = 15
    NOTES = 16
    SYMBOLS = 17
    END = 18
    TOTALS = 19
    CENSUS = 20
    BIRTHS = 21
    EXTRAS = 22
    ACCESSES = 23


KINDS: Final = frozenset(int(kind) for kind in Kind)
"""The kinds that this version knows."""

SUPERSEDING: Final = frozenset(
    {
        Kind.META,
        Kind.PROCESSES,
        Kind.THREADS,
        Kind.PEAK,
        Kind.LIFETIMES,
        Kind.SIZES,
        Kind.SYMBOLS,
        Kind.END,
        Kind.TOTALS,
        Kind.BIRTHS,
    }
)
"""Kinds of which only the last state counts, written with the superseding flag."""


NUMBERED: Final = frozenset({Kind.PROCESSES, Kind.THREADS})
"""Kinds whose rows may name their ids, in a column `row`: final ones come out of order."""


class ContextKind(IntEnum):
    """Whom memory comes from (`ht_kind`)."""

    MALLOC = 0
    NEW = 1
    PY_RAW = 2
    PY_MEM = 3
    PY_OBJECT = 4
    MMAP = 5
    SBRK = 6
    ARENA = 7


class FrameKind(IntEnum):
    NATIVE = 0
    PYTHON = 1
    SPECIAL = 2


class SpecialFrame(IntEnum):
    CUT_OFF = 1
    NO_STACK = 2


class Language(IntEnum):
    UNKNOWN = 0
    PYTHON = 1
    C = 2
    CPP = 3
    RUST = 4
    OTHER = 5


LIFETIME_BUCKETS: Final = 8
SIZE_BUCKETS: Final = 12

SIZE_BOUNDS: Final = (16, 32, 64, 128, 256, 512, 1024, 4096, 16384, 65536, 1048576)
"""Upper bounds in bytes, inclusive, of all size buckets but the last."""

LIFETIME_BOUNDS: Final = (0, 1, 7, 63, 511, 4095, 32767)
"""Upper bounds, inclusive, in further allocations of the thread, of all buckets but the last."""

LIFETIME_TIME_BOUNDS_NS: Final = (10**6, 10**7, 10**8, 10**9, 10**10, 10**11, 10**12)
"""Upper bounds, exclusive, in nanoseconds, of all buckets but the last."""

SPREAD_AGES: Final = slice(0, LIFETIME_BUCKETS)
SPREAD_TIMES: Final = slice(LIFETIME_BUCKETS, 2 * LIFETIME_BUCKETS)
SPREAD_SIZES: Final = slice(2 * LIFETIME_BUCKETS, 2 * LIFETIME_BUCKETS + SIZE_BUCKETS)
SPREAD_BUCKETS: Final = SPREAD_SIZES.stop
"""Of a spread: freed blocks by further allocations and by time, allocations by size."""

METRICS: Final = (
    "blocks_in",
    "bytes_in",
    "blocks_out",
    "bytes_out",
    "reallocations",
    "copied_bytes",
    "temporary",
    "short_lived",
)
"""The figures of a row of `deltas`, beside its context."""

BLOBS: Final[dict[int, dict[str, str | None]]] = {
    Kind.META: {"json_bytes": None},
    Kind.STRINGS: {"s_bytes": "s_len"},
    Kind.CODES: {"table_bytes": "table_len"},
}
"""Columns that are joined bytes, each with the column of its lengths."""
