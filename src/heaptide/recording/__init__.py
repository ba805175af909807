"""The recording format (docs/format.md) and the `Recording` that it opens as."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from heaptide.recording._births import every_second
from heaptide.recording._chunks import open_regular
from heaptide.recording._names import FrameName, FrameNames
from heaptide.recording._recording import Recording
from heaptide.recording._schema import (
    ALL_PROCESSES,
    LIFETIME_BOUNDS,
    LIFETIME_TIME_BOUNDS_NS,
    METRICS,
    SIZE_BOUNDS,
    SPREAD_AGES,
    SPREAD_BUCKETS,
    SPREAD_SIZES,
    SPREAD_TIMES,
    WIRE_ALL_PROCESSES,
    ContextKind,
    FrameKind,
    Kind,
    Language,
    SpecialFrame,
)
from heaptide.recording._strings import StringColumn, Strings
from heaptide.recording._tables import (
    Accesses,
    Births,
    Codes,
    Composition,
    Contexts,
    Deltas,
    End,
    Extras,
    Frames,
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
    Summary,
    Symbols,
    Threads,
    Timeline,
    Totals,
)
from heaptide.recording._writer import Writer

if TYPE_CHECKING:
    from heaptide.recording._compact import Finished, finish, symbolize

__all__ = [
    "ALL_PROCESSES",
    "LIFETIME_BOUNDS",
    "LIFETIME_TIME_BOUNDS_NS",
    "METRICS",
    "SIZE_BOUNDS",
    "SPREAD_AGES",
    "SPREAD_BUCKETS",
    "SPREAD_SIZES",
    "SPREAD_TIMES",
    "WIRE_ALL_PROCESSES",
    "Accesses",
    "Births",
    "Codes",
    "Composition",
    "ContextKind",
    "Contexts",
    "Deltas",
    "End",
    "Extras",
    "Finished",
    "FrameKind",
    "FrameName",
    "FrameNames",
    "Frames",
    "Kind",
    "Language",
    "Lifetimes",
    "Marks",
    "Modules",
    "Notes",
    "Peak",
    "Processes",
    "Recording",
    "Sizes",
    "Slices",
    "SpecialFrame",
    "Spreads",
    "Stacks",
    "StringColumn",
    "Strings",
    "Summary",
    "Symbols",
    "Threads",
    "Timeline",
    "Totals",
    "Writer",
    "every_second",
    "finish",
    "open_regular",
    "symbolize",
]


def __getattr__(name: str) -> Any:
    # Finishing pulls in symbol resolution; reading must not pay for it.
    if name in {"Finished", "finish", "symbolize"}:
        from heaptide.recording import _compact

        return getattr(_compact, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
