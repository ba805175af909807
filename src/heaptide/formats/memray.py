"""Captures of memray, read by memray itself."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from heaptide.errors import HeaptideError, UsageError
from heaptide.profile import COLUMNS, LEAK_COLUMNS
from heaptide.recording import ContextKind, Language

from ._builder import Builder, Function
from ._names import language_of

if TYPE_CHECKING:
    from ._source import Source

_ALWAYS: Final = (
    "peak_bytes",
    "peak_blocks",
    "alive_at_exit_bytes",
    "alive_at_exit_allocations",
)
_TOTALS: Final = ("total_bytes", "allocations")
_MOST_EVENTS: Final = 20_000_000  # that are counted one by one, about a microsecond each
_KINDS: Final = {
    "PYMALLOC_MALLOC": ContextKind.PY_OBJECT,
    "PYMALLOC_CALLOC": ContextKind.PY_OBJECT,
    "PYMALLOC_REALLOC": ContextKind.PY_OBJECT,
    "MMAP": ContextKind.MMAP,
}
_FREES: Final = frozenset({"FREE", "MUNMAP", "PYMALLOC_FREE"})


def read(source: Source) -> Builder:
    try:
        from memray import FileReader
    except ImportError:
        raise UsageError(
            f"{source.path} is a capture of memray, which reads it: pip install memray"
        ) from None
    try:
        with _plain(source) as path:
            return _Reading(source, FileReader(path)).builder()
    except HeaptideError:
        raise
    except Exception as error:  # memray's own errors, which say what is wrong
        raise source.wrong(f"memray says: {error}") from None


@contextlib.contextmanager
def _plain(source: Source) -> Iterator[str]:
    """The path of the file as memray reads it: decompressed."""
    if not source.compression:
        yield source.path
        return
    with tempfile.NamedTemporaryFile(prefix="heaptide-memray-") as file:
        for block in source.blocks():
            file.write(block)
        file.flush()
        yield file.name


class _Reading:
    def __init__(self, source: Source, reader: Any) -> None:
        self._source, self._reader = source, reader
        self._meta = reader.metadata
        self._builder = Builder(
            "memray",
            "a capture of memray",
            [
                *(name for name in (*COLUMNS, *LEAK_COLUMNS) if name not in (*_ALWAYS, *_TOTALS)),
                "sizes",
                "lifetimes",
            ],
        )
        self._stacks: dict[Any, int] = {}

    def builder(self) -> Builder:
        builder, meta, reader = self._builder, self._meta, self._reader
        builder.command = str(meta.command_line).split()
        builder.pid = int(meta.pid)
        builder.start_time = meta.start_time.timestamp()
        builder.end_ns = round((meta.end_time - meta.start_time).total_seconds() * 1e9)
        peak = self._summed(reader.get_high_watermark_allocation_records(merge_threads=False))
        alive = self._summed(reader.get_leaked_allocation_records(merge_threads=False))
        totals = self._totals(alive)
        contexts = sorted({*peak, *alive, *totals})
        columns = {
            name: np.array([table.get(context, (0, 0))[i] for context in contexts], np.int64)
            for name, table, i in (
                ("blocks", totals, 0),
                ("bytes", totals, 1),
                ("live_blocks", alive, 0),
                ("live_bytes", alive, 1),
            )
        }
        columns["blocks"] = np.maximum(columns["blocks"], columns["live_blocks"])
        columns["bytes"] = np.maximum(columns["bytes"], columns["live_bytes"])
        builder.totals(contexts, **columns, end_ns=builder.end_ns)
        when = self._snapshots()
        held = list(peak)
        builder.peak(held, [peak[one][0] for one in held], [peak[one][1] for one in held], when)
        return builder

    def _totals(self, alive: dict[int, tuple[int, int]]) -> dict[int, tuple[int, int]]:
        """All allocations, where the capture has them and they are not too many."""
        meta, builder = self._meta, self._builder
        kind = getattr(meta, "file_format", None)
        aggregated = "aggregated" in str(getattr(kind, "name", kind)).lower()
        if not aggregated and int(meta.total_allocations) <= _MOST_EVENTS:
            return self._summed(self._reader.get_allocation_records())
        builder.lacks.update(_TOTALS)
        if not aggregated:
            builder.note(
                f"its {int(meta.total_allocations):,} events are not counted one by one: the peak "
                "and what was alive at the end are"
            )
        return alive

    def _summed(self, records: Iterable[Any]) -> dict[int, tuple[int, int]]:
        """Blocks and bytes by context."""
        from memray import AllocatorType

        names = {int(one): one.name for one in AllocatorType}
        found: dict[int, tuple[int, int]] = {}
        for record in records:
            name = names.get(int(record.allocator), "")
            if name in _FREES:
                continue
            context = self._builder.context(
                self._stack(record), thread=self._thread(record), kind=_kind(name)
            )
            blocks, size = found.get(context, (0, 0))
            found[context] = blocks + record.n_allocations, size + record.size
        return found

    def _thread(self, record: Any) -> int:
        return self._builder.thread(int(record.tid), str(record.thread_name))

    def _stack(self, record: Any) -> int:
        native = self._meta.has_native_traces
        key = (record.stack_id, getattr(record, "native_stack_id", 0) if native else 0)
        found = self._stacks.get(key)
        if found is None:
            trace = record.hybrid_stack_trace() if native else record.stack_trace()
            frames = [
                self._builder.frame((self._function(str(name), str(file), int(line)),))
                for name, file, line in trace
            ]
            found = self._stacks[key] = self._builder.stack(reversed(frames))
        return found

    @staticmethod
    def _function(name: str, file: str, line: int) -> Function:
        language = language_of(name, file)
        if language == Language.UNKNOWN and file.startswith("<"):
            language = Language.PYTHON
        return Function(name or "?", file, max(line, 0), language=language)

    def _snapshots(self) -> int:
        """Writes the timeline; the time of the peak."""
        start = self._meta.start_time.timestamp() * 1000
        best, when = -1, 0
        for one in self._reader.get_memory_snapshots():
            at = max(0, round((one.time - start) * 1e6))
            self._builder.moment(at, int(one.heap), rss=int(one.rss))
            if one.heap > best:
                best, when = int(one.heap), at
        return when


def _kind(name: str) -> ContextKind:
    return _KINDS.get(name, ContextKind.MALLOC)
