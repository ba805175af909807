"""Puts a recording together from what a foreign file says."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from heaptide._version import __version__
from heaptide.recording import (
    METRICS,
    ContextKind,
    FrameKind,
    Kind,
    Language,
    Writer,
)
from heaptide.recording import WIRE_ALL_PROCESSES as ALL

from ._names import language_of, place

Ints = npt.NDArray[np.int64]

_LEVEL = 3
_MOST = (1 << 63) - 1


class Function(NamedTuple):
    """A place in code, as a foreign file names it. What it does not say is empty or 0."""

    name: str
    file: str = ""
    line: int = 0
    column: int = 0
    language: Language = Language.UNKNOWN


class Built(NamedTuple):
    """What a finished recording needs next."""

    nameless: int  # frames that are addresses yet


@dataclass
class _Table:
    """Columns that grow row by row."""

    names: tuple[str, ...]
    columns: list[list[int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.columns = [[] for _ in self.names]

    def add(self, *row: int) -> int:
        for column, value in zip(self.columns, row):
            column.append(value)
        return len(self.columns[0]) - 1

    def __len__(self) -> int:
        return len(self.columns[0])

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        return {name: numbers(column) for name, column in zip(self.names, self.columns)}


class Builder:
    """One process's recording, written at the end.

    Frames, stacks and contexts are interned: the same one asked for again has the same number.
    Figures are added in columns. What the format does not tell is named in ``lacks``, by the
    names of figures in JSON or of tables (see ``Recording.lacks``).
    """

    def __init__(self, format: str, title: str, lacks: Collection[str] = ()) -> None:
        self.format, self.title = format, title
        self.lacks = set(lacks)
        self.command: list[str] = []
        self.exe = ""
        self.pid = 0
        self.start_time: float | None = None
        self.sample_interval = 0
        self.end_ns = 0
        self.end_reason = "finished"
        self.peak_time = 0
        self.peak_rss = 0
        self.nameless = 0
        self.copied_bytes = 0
        self._strings: dict[str, int] = {"": 0}
        self._modules: dict[tuple[str, str], int] = {}
        self._module_rows = _Table(("process", "bias", "start", "end", "path", "build_id"))
        self._codes: dict[tuple[int, int, int], int] = {}
        self._code_rows = _Table(("filename", "qualname", "firstlineno", "python_version"))
        self._frames: dict[tuple[Any, ...], int] = {}
        self._frame_rows = _Table(("kind", "ref", "offset"))
        self._symbols = _Table(("frame", "function", "file", "line", "column", "language"))
        self._stacks: dict[tuple[int, int], int] = {}
        self._stack_rows = _Table(("parent", "frame"))
        self._threads: dict[int, int] = {}
        self._thread_rows = _Table(("process", "tid", "name"))
        self._contexts: dict[tuple[int, int, int], int] = {}
        self._context_rows = _Table(("process", "thread", "stack", "kind"))
        self._slices: list[dict[str, npt.NDArray[Any]]] = []
        self._peak: dict[str, npt.NDArray[Any]] | None = None
        self._timeline = _Table(
            (
                "time",
                "process",
                "live_bytes",
                "live_blocks",
                "peak_bytes",
                "rss",
                "overhead_bytes",
                "stack_bytes",
            )
        )
        self._matrices: dict[Kind, dict[str, npt.NDArray[Any]]] = {}
        self._extras: list[dict[str, npt.NDArray[Any]]] = []
        self._accesses = _Table(("context", "run", "count"))
        self._marks = _Table(("time", "process", "thread", "name"))
        self._notes = _Table(("time", "process", "text"))

    # Words and places.

    def string(self, text: str) -> int:
        return self._strings.setdefault(text, len(self._strings))

    def module(
        self, path: str, build_id: str = "", *, bias: int = 0, start: int = 0, end: int = 0
    ) -> int:
        """The row of an executable or shared object; a later one's addresses are not kept."""
        key = (path, build_id)
        found = self._modules.get(key)
        if found is None:
            found = self._modules[key] = self._module_rows.add(
                0, bias, start, end, self.string(path), self.string(build_id)
            )
        return found

    def frame(self, functions: Sequence[Function], module: int = -1, address: int = 0) -> int:
        """A frame with names: innermost inlined function first; none: `address` is its name.

        Frames of Python code are those whose first function says so.
        """
        if functions and functions[0].language == Language.PYTHON:
            return self._python(functions[0])
        key = (module, address, *functions)
        found = self._frames.get(key)
        if found is None:
            found = self._frames[key] = self._frame_rows.add(
                FrameKind.NATIVE, module + 1, max(address, 0) & 0xFFFFFFFFFFFFFFFF
            )
            for one in functions:
                self._symbols.add(
                    found,
                    self.string(one.name),
                    self.string(one.file),
                    one.line,
                    one.column,
                    one.language,
                )
            self.nameless += not functions
        return found

    def place(self, label: str) -> int:
        """A frame of a line as Valgrind's tools write it, ``0x1234: function (file:line)``."""
        at = place(label)
        module = self.module(at.module) if at.module else -1
        if not at.function:
            if at.module:
                return self.frame((), module, at.address)
            return self.frame((Function(f"0x{at.address:x}"),), address=at.address)
        language = language_of(at.function, at.file)
        function = Function(at.function, at.file, at.line, at.column, language)
        return self.frame((function,), module, at.address)

    def _python(self, function: Function) -> int:
        name, file = self.string(function.name), self.string(function.file)
        key = (file, name, function.line)
        code = self._codes.get(key)
        if code is None:
            code = self._codes[key] = self._code_rows.add(file, name, function.line, 0)
        found = self._frames.get(("python", code))
        if found is None:
            found = self._frames["python", code] = self._frame_rows.add(FrameKind.PYTHON, code, 0)
        return found

    def special(self, number: int) -> int:
        found = self._frames.get(("special", number))
        if found is None:
            found = self._frames["special", number] = self._frame_rows.add(
                FrameKind.SPECIAL, number, 0
            )
        return found

    def node(self, parent: int, frame: int) -> int:
        """The stack of `frame` called from stack `parent` (-1: outermost)."""
        found = self._stacks.get((parent, frame))
        if found is None:
            found = self._stacks[parent, frame] = self._stack_rows.add(parent + 1, frame)
        return found

    def stack(self, frames: Iterable[int]) -> int:
        """The stack of frames, outermost first; of none, one that says so."""
        at = -1
        for frame in frames:
            at = self.node(at, frame)
        return self.node(-1, self.special(2)) if at < 0 else at

    def thread(self, tid: int, name: str = "") -> int:
        found = self._threads.get(tid)
        if found is None:
            found = self._threads[tid] = self._thread_rows.add(0, tid, self.string(name))
        return found

    def context(
        self, stack: int, *, thread: int | None = None, kind: ContextKind = ContextKind.MALLOC
    ) -> int:
        """Memory of one stack, thread and kind of allocator."""
        row = self.thread(self.pid) if thread is None else thread
        key = (row, stack, int(kind))
        found = self._contexts.get(key)
        if found is None:
            found = self._contexts[key] = self._context_rows.add(0, row, stack, kind)
        return found

    @property
    def contexts(self) -> int:
        return len(self._context_rows)

    # Figures.

    def slice(
        self, start_ns: int, end_ns: int, contexts: npt.ArrayLike, **figures: npt.ArrayLike
    ) -> None:
        """Changes between two moments: columns of METRICS, a row for each of `contexts`."""
        columns: dict[str, npt.NDArray[Any]] = {
            "slice": np.array([len(self._slices)]),
            "start": np.array([start_ns]),
            "end": np.array([end_ns]),
            "context": np.asarray(contexts, np.int64),
        }
        unknown = set(figures) - set(METRICS)
        assert not unknown, unknown
        columns.update({name: np.asarray(column, np.int64) for name, column in figures.items()})
        self._slices.append(columns)
        self.end_ns = max(self.end_ns, end_ns)

    def totals(
        self,
        contexts: npt.ArrayLike,
        *,
        blocks: npt.ArrayLike,
        bytes: npt.ArrayLike,
        live_blocks: npt.ArrayLike,
        live_bytes: npt.ArrayLike,
        end_ns: int = 0,
        **figures: npt.ArrayLike,
    ) -> None:
        """The whole time as one slice: allocated in total, and alive at its end."""
        blocks_in, bytes_in = np.asarray(blocks, np.int64), np.asarray(bytes, np.int64)
        self.slice(
            0,
            end_ns,
            contexts,
            blocks_in=blocks_in,
            bytes_in=bytes_in,
            blocks_out=blocks_in - np.asarray(live_blocks, np.int64),
            bytes_out=bytes_in - np.asarray(live_bytes, np.int64),
            **figures,
        )

    def peak(
        self, contexts: npt.ArrayLike, blocks: npt.ArrayLike, bytes: npt.ArrayLike, time_ns: int
    ) -> None:
        """What the heap held at its highest moment."""
        held = np.asarray(contexts, np.int64)
        self._peak = {
            "process": np.zeros(len(held), np.int64),
            "context": held,
            "blocks": np.asarray(blocks, np.int64),
            "bytes": np.asarray(bytes, np.int64),
        }
        self.peak_time = time_ns

    def moment(
        self,
        time_ns: int,
        live_bytes: int,
        live_blocks: int = 0,
        *,
        peak_bytes: int | None = None,
        rss: int = 0,
        overhead_bytes: int = 0,
        stack_bytes: int = 0,
    ) -> None:
        """A row of the timeline."""
        peak = live_bytes if peak_bytes is None else peak_bytes
        self._timeline.add(
            time_ns, ALL, live_bytes, live_blocks, peak, rss, overhead_bytes, stack_bytes
        )
        self.end_ns = max(self.end_ns, time_ns)
        self.peak_rss = max(self.peak_rss, rss)

    def sizes(self, contexts: npt.ArrayLike, counts: npt.ArrayLike) -> None:
        """Allocations by size: a matrix of contexts by size classes."""
        self._matrix(Kind.SIZES, "size", contexts, counts)

    def lifetimes_by_time(self, contexts: npt.ArrayLike, counts: npt.ArrayLike) -> None:
        self._matrix(Kind.LIFETIMES, "by_time", contexts, counts)

    def _matrix(
        self, kind: Kind, name: str, contexts: npt.ArrayLike, counts: npt.ArrayLike
    ) -> None:
        matrix = np.asarray(counts, np.int64)
        columns = self._matrices.setdefault(kind, {"context": np.asarray(contexts, np.int64)})
        columns.update({f"{name}_{i}": matrix[:, i] for i in range(matrix.shape[1])})

    def extra(
        self, metric: str, words: str, unit: str, contexts: npt.ArrayLike, values: npt.ArrayLike
    ) -> None:
        """A figure of this format's own: see ``Recording.extras``."""
        context, value = np.asarray(contexts, np.int64), np.asarray(values, np.int64)
        used = value != 0
        count = int(used.sum())
        texts = {"metric": metric, "words": words, "unit": unit}
        same = {name: np.full(count, self.string(text)) for name, text in texts.items()}
        self._extras.append({"context": context[used], **same, "value": value[used]})

    def access(self, context: int, runs: Iterable[tuple[int, int]]) -> None:
        """How often each byte of a context's blocks was touched: (bytes, times), in order."""
        for run, count in runs:
            self._accesses.add(context, run, count)

    def mark(self, time_ns: int, name: str) -> None:
        self._marks.add(time_ns, 0, self.thread(self.pid), self.string(name))

    def note(self, text: str) -> None:
        """What a person should know who reads the figures."""
        self._notes.add(0, 0, self.string(text))

    # The file.

    def write(self, path: str | os.PathLike[str]) -> Built:
        """Writes the recording to `path`, which must not exist."""
        if not len(self._thread_rows):
            self.thread(self.pid)
        with Writer(path, level=_LEVEL, compacted=True) as writer:
            writer.chunk(Kind.META, {"json_bytes": self._meta()})
            end = {"reason": np.array([self.string(self.end_reason)])}
            process = self._process()
            self._write_strings(writer)
            writer.chunk(Kind.PROCESSES, process)
            writer.chunk(Kind.THREADS, self._threads_table())
            for kind, table in (
                (Kind.MODULES, self._module_rows),
                (Kind.CODES, self._code_rows),
                (Kind.FRAMES, self._frame_rows),
                (Kind.STACKS, self._stack_rows),
                (Kind.CONTEXTS, self._context_rows),
                (Kind.SYMBOLS, self._symbols),
                (Kind.TIMELINE, self._timeline),
                (Kind.ACCESSES, self._accesses),
                (Kind.MARKS, self._marks),
                (Kind.NOTES, self._notes),
            ):
                if len(table) or kind == Kind.SYMBOLS:
                    columns: dict[str, Any] = dict(table.arrays())
                    if kind == Kind.CODES:
                        columns["table_len"] = np.zeros(len(table), np.int64)
                        columns["table_bytes"] = b""
                    writer.chunk(kind, columns)
            for slice_ in self._slices:
                writer.chunk(Kind.DELTAS, slice_)
            if self._peak is not None:
                writer.chunk(Kind.PEAK, self._peak)
            for kind, columns in self._matrices.items():
                writer.chunk(kind, columns)
            for extra in self._extras:
                writer.chunk(Kind.EXTRAS, extra)
            writer.chunk(Kind.END, {**end, "time": np.array([self.end_ns])})
        return Built(self.nameless)

    def _meta(self) -> bytes:
        meta: dict[str, Any] = {
            "writer": f"heaptide {__version__}",
            "command": self.command,
            "config": {"sample_interval": self.sample_interval},
            "source": {"format": self.format, "title": self.title},
            "lacks": sorted(self.lacks),
        }
        if self.start_time is not None:
            meta["start_time"] = self.start_time
        return json.dumps(meta, ensure_ascii=False).encode("utf-8", "backslashreplace")

    def _write_strings(self, writer: Writer) -> None:
        texts = [text.encode("utf-8", "backslashreplace") for text in self._strings]
        lengths = np.array([len(text) for text in texts], np.int64)
        writer.chunk(Kind.STRINGS, {"s_len": lengths, "s_bytes": b"".join(texts)})

    def _sums(self) -> dict[str, int]:
        return {
            name: sum(int(one[name].sum()) for one in self._slices if name in one)
            for name in METRICS
        }

    def _process(self) -> dict[str, npt.NDArray[Any]]:
        sums = self._sums()
        peak = 0 if self._peak is None else int(self._peak["bytes"].sum())
        row = {
            "pid": self.pid,
            "exe": self.string(self.exe),
            "command": self.string("\x1f".join(self.command)),
            "end": self.end_ns,
            "peak_bytes": peak,
            "peak_time": self.peak_time,
            "peak_rss": self.peak_rss,
            "live_bytes": sums["bytes_in"] - sums["bytes_out"],
            "live_blocks": sums["blocks_in"] - sums["blocks_out"],
            "allocations": sums["blocks_in"] - sums["reallocations"],
            "deallocations": sums["blocks_out"] - sums["reallocations"],
            "reallocations": sums["reallocations"],
            "bytes": sums["bytes_in"],
            "copied_bytes": sums["copied_bytes"],
            "temporary": sums["temporary"],
            "short_lived": sums["short_lived"],
        }
        return {name: numbers([value]) for name, value in row.items()}

    def _threads_table(self) -> dict[str, npt.NDArray[Any]]:
        """Threads with the sums of their contexts."""
        columns = self._thread_rows.arrays()
        count = len(self._thread_rows)
        owner = np.array(self._context_rows.columns[1], np.int64)
        sums = {name: np.zeros(count, np.int64) for name in METRICS}
        for one in self._slices:
            for name in METRICS:
                if name in one:
                    np.add.at(sums[name], owner[one["context"]], one[name])
        columns["allocations"] = sums["blocks_in"] - sums["reallocations"]
        columns["reallocations"] = sums["reallocations"]
        columns["bytes"] = sums["bytes_in"]
        columns["live_bytes"] = sums["bytes_in"] - sums["bytes_out"]
        return columns


def numbers(values: Sequence[int]) -> npt.NDArray[Any]:
    """Of Python integers; whatever is beyond 63 bits unsigned."""
    if max(values, default=0) > _MOST:
        return np.array(values, np.uint64)
    return np.array(values, np.int64)
