"""Normalised tables in Parquet, for SQL engines: docs/sql.md has the columns and queries.

A directory with ``recordings``, ``samples``, ``stacks``, ``frames`` and ``slices``. Ids are rows of
their tables within one recording; files of several recordings can be read as one table, told apart
by ``recording_id``.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from heaptide.errors import UsageError
from heaptide.profile import COLUMNS, LEAK_COLUMNS, Origin, summarize
from heaptide.recording import METRICS, ContextKind, Language

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy.typing as npt

    from ._export import Export

    Ints = npt.NDArray[np.int64]

TABLES: Final = ("recordings", "samples", "stacks", "frames", "slices")
_ROWS: Final = 1 << 18  # of slices that are written at a time


def write(export: Export) -> list[str]:
    try:
        import pyarrow  # noqa: F401
    except ImportError:
        raise UsageError(
            "tables in Parquet need pyarrow: pip install 'heaptide[parquet]', or pip install "
            "pyarrow"
        ) from None
    export.path.mkdir()
    tables = _Tables(export)
    tables.write("recordings", tables.recordings())
    tables.write("samples", tables.samples())
    tables.write("stacks", tables.stacks())
    tables.write("frames", tables.frames())
    tables.write_slices()
    return ["tables carry figures by sample and over time: births, marks and notes are left out"]


class _Tables:
    def __init__(self, export: Export) -> None:
        self._export = export
        self._profile, self._recording = export.profile, export.recording
        self._id = _identity(export)
        self._used = np.flatnonzero(self._profile.figures.any(axis=1))

    def _named(self, rows: int) -> dict[str, Any]:
        import pyarrow as pa

        return {"recording_id": pa.array(np.full(rows, self._id, np.int64))}

    def write(self, name: str, columns: dict[str, Any]) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        rows = len(next(iter(columns.values())))
        table = pa.table({**self._named(rows), **columns})
        pq.write_table(table, self._export.path / f"{name}.parquet", compression="zstd")

    def recordings(self) -> dict[str, Any]:
        import pyarrow as pa

        recording, unknown = self._recording, self._export.unknown
        summary = summarize(self._profile)
        figures = {
            name: None if name in unknown else getattr(summary, name)
            for name in (
                "allocations",
                "deallocations",
                "reallocations",
                "total_bytes",
                "copied_bytes",
                "peak_bytes",
                "peak_blocks",
                "alive_at_exit_bytes",
                "alive_at_exit_allocations",
                "temporary_allocations",
                "short_lived_allocations",
                "peak_rss_bytes",
                "processes",
                "threads",
            )
        }
        started = recording.meta.get("start_time")
        usable = isinstance(started, (int, float)) and 0 < started < 1e11
        return {
            "path": pa.array([recording.path], pa.string()),
            "command": pa.array([" ".join(self._export.command)], pa.string()),
            "format": pa.array([str(recording.source.get("format", "tide"))], pa.string()),
            "start_time": pa.array(
                [round(started * 1e6) if usable and started else None], pa.timestamp("us", "UTC")
            ),
            "duration_ns": pa.array([recording.summary.duration_ns], pa.int64()),
            "peak_time_ns": pa.array([round(summary.peak_time_seconds * 1e9)], pa.int64()),
            "sample_interval": pa.array([recording.sample_interval or None], pa.int64()),
            **{name: pa.array([value], pa.int64()) for name, value in figures.items()},
        }

    def samples(self) -> dict[str, Any]:
        """A row for each process, thread, stack and kind of allocator."""
        import pyarrow as pa

        recording, profile, used = self._recording, self._profile, self._used
        contexts, threads, unknown = recording.contexts, recording.threads, self._export.unknown
        process, thread = contexts.process[used], contexts.thread[used]
        kinds = [kind.name.lower() for kind in ContextKind]
        names = np.array([*threads.name, ""], object)
        figures = np.concatenate([profile.figures[used], profile.leaked[used]], axis=1)
        columns: dict[str, Any] = {
            "sample_id": pa.array(used.astype(np.int64)),
            "pid": pa.array(np.append(recording.processes.pid, 0)[process]),
            "tid": pa.array(np.append(threads.tid, 0)[thread]),
            "thread": pa.array(names[thread], pa.string()).dictionary_encode(),
            "kind": pa.array(
                np.array([*kinds, "other"], object)[np.minimum(contexts.kind[used], len(kinds))],
                pa.string(),
            ).dictionary_encode(),
            "stack_id": pa.array(profile.context_node[used]),
            "site_frame_id": pa.array(profile.context_site[used]),
        }
        for i, name in enumerate((*COLUMNS, *LEAK_COLUMNS)):
            values = pa.array(figures[:, i])
            columns[name] = pa.nulls(len(used), pa.int64()) if name in unknown else values
        return columns

    def stacks(self) -> dict[str, Any]:
        """A row for each node of the tree of stacks, inlined functions included."""
        import pyarrow as pa

        tree = self._profile.tree
        count = len(tree)
        return {
            "stack_id": pa.array(np.arange(count)),
            "parent_id": pa.array(tree.parent, mask=tree.parent < 0),
            "frame_id": pa.array(self._profile.node_location),
            "depth": pa.array(tree.depth),
        }

    def frames(self) -> dict[str, Any]:
        """A row for each place in code."""
        import pyarrow as pa

        at = self._profile.locations
        module, names = self._profile.modules
        texts = np.array(at.texts, object)
        count = len(at)
        languages = [language.name.lower() for language in Language]
        origins = [origin.name.lower() for origin in Origin]

        def words(values: Iterable[Any]) -> Any:
            return pa.array(values, pa.string()).dictionary_encode()

        def number(values: Ints) -> Any:
            return pa.array(values, mask=values == 0)

        return {
            "frame_id": pa.array(np.arange(count)),
            "function": words(texts[at.function]),
            "file": words(texts[at.file]),
            "line": number(at.line),
            "column": number(at.column),
            "module": words(np.array([*names, ""], object)[module]),
            "language": words(
                np.array(languages, object)[np.minimum(at.language, len(languages) - 1)]
            ),
            "origin": words(np.array(origins, object)[at.origin]),
        }

    def write_slices(self) -> None:
        """What changed when: a row for each sample in each slice of time."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        types = {name: pa.int64() for name in ("recording_id", "slice", "start_ns", "end_ns")}
        types.update({name: pa.int64() for name in ("sample_id", *METRICS)})
        path = self._export.path / "slices.parquet"
        with pq.ParquetWriter(path, pa.schema(list(types.items())), compression="zstd") as writer:
            kept: list[Any] = []
            rows = 0
            for part in self._slice_tables(types):
                kept.append(part)
                rows += len(part)
                if rows >= _ROWS:
                    writer.write_table(pa.concat_tables(kept))
                    kept, rows = [], 0
            if kept:
                writer.write_table(pa.concat_tables(kept))

    def _slice_tables(self, types: dict[str, Any]) -> Iterable[Any]:
        import pyarrow as pa

        recording, time = self._recording, self._profile.time
        used = np.zeros(len(recording.contexts), np.bool_)
        used[self._used] = True
        slices = recording.slices
        numbers = range(len(slices)) if time is None else range(time.first, time.stop)
        for number in numbers:
            rows = recording.deltas(number, number + 1)
            chosen = used[rows.context]
            count = int(chosen.sum())
            columns = {
                "recording_id": np.full(count, self._id, np.int64),
                "slice": np.full(count, number, np.int64),
                "start_ns": np.full(count, slices.start[number], np.int64),
                "end_ns": np.full(count, slices.end[number], np.int64),
                "sample_id": rows.context[chosen].astype(np.int64),
                **{name: getattr(rows, name)[chosen].astype(np.int64) for name in METRICS},
            }
            yield pa.table(columns, schema=pa.schema(list(types.items())))


def _identity(export: Export) -> int:
    """A number that tells recordings apart: of 63 bits of what is in one."""
    recording = export.recording
    summary = recording.summary
    words = (
        recording.meta.get("start_time"),
        export.command,
        export.pid,
        summary.duration_ns,
        summary.total_bytes,
        summary.peak_bytes,
        len(recording.contexts),
    )
    digest = hashlib.blake2b(repr(words).encode("utf-8", "backslashreplace"), digest_size=8)
    return int.from_bytes(digest.digest(), "little") >> 1
