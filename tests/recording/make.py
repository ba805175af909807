"""Builds small valid recordings for tests: entities by name, rows and references done here.

build = Builder()
process = build.process(pid=10)
main = build.stack(process, build.python("main", "app.py", 3))
context = build.context(process, stack=main)
build.slice(0, SECOND, {context: Change(blocks_in=2, bytes_in=64)})
build.write(path)
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from heaptide.recording import ContextKind, FrameKind, Kind, Language, SpecialFrame, Writer

SECOND = 1_000_000_000
PYTHON_311 = 0x030B00F0
ALL = 0xFFFFFFFF


class Change(NamedTuple):
    """What happened to a context in one slice."""

    blocks_in: int = 0
    bytes_in: int = 0
    blocks_out: int = 0
    bytes_out: int = 0
    reallocations: int = 0
    copied_bytes: int = 0
    temporary: int = 0
    short_lived: int = 0


class Table:
    """Rows of one kind; keys given to `add` may differ from row to row (missing: 0)."""

    def __init__(self) -> None:
        self.rows: list[dict[str, int]] = []

    def add(self, **row: int) -> int:
        self.rows.append(row)
        return len(self.rows) - 1

    def columns(self) -> dict[str, np.ndarray[Any, Any]]:
        names = dict.fromkeys(name for row in self.rows for name in row)
        return {name: numbers([row.get(name, 0) for row in self.rows]) for name in names}


def numbers(values: Sequence[int]) -> np.ndarray[Any, Any]:
    high = max(values, default=0) >= 1 << 63
    return np.array(values, np.uint64 if high else np.int64)


def one_line_table(units: int = 1) -> bytes:
    """A 3.11 location table of `units` code units, all on the code's first line, no columns."""
    return b"".join(
        bytes([0x80 | 13 << 3 | min(8, units - at) - 1, 0]) for at in range(0, units, 8)
    )


class Builder:
    """Collects the rows of a recording and writes them in an order in which any prefix opens."""

    def __init__(self) -> None:
        self.texts: dict[str, int] = {"": 0}
        self.meta: dict[str, Any] = {
            "writer": "heaptide-tests 1",
            "start_time": 1_700_000_000.5,
            "command": ["python3", "app.py"],
            "config": {
                "python_objects": True,
                "native": "auto",
                "sample_interval": 0,
                "follow": True,
                "usable_size": False,
            },
            "hostname": "host",
            "page_size": 4096,
            "cpu_count": 2,
            "machine": "x86_64",
        }
        self.tables = {kind: Table() for kind in Kind}
        self.code_tables: list[bytes] = []
        self.slices: list[tuple[int, int, Mapping[int, Change]]] = []
        self.spreads: dict[int, Mapping[tuple[int, int], int]] = {}
        self.frames: dict[tuple[int, int, int], int] = {}
        self.stacks: dict[tuple[int, int], int] = {}
        self.contexts: dict[tuple[int, int, int, int], int] = {}
        self.codes: dict[tuple[str, str, int], int] = {}
        self.end: tuple[str, int] | None = None

    def text(self, text: str) -> int:
        return self.texts.setdefault(text, len(self.texts))

    def process(
        self, pid: int = 100, exe: str = "/usr/bin/app", command: Sequence[str] = (), **row: int
    ) -> int:
        words = self.text("\x1f".join(command or [exe]))
        return self.tables[Kind.PROCESSES].add(pid=pid, exe=self.text(exe), command=words, **row)

    def thread(self, process: int = 0, tid: int = 100, name: str = "main", **row: int) -> int:
        return self.tables[Kind.THREADS].add(process=process, tid=tid, name=self.text(name), **row)

    def module(
        self,
        process: int,
        path: str,
        build_id: str = "",
        bias: int = 0x7F0000000000,
        size: int = 1 << 20,
    ) -> int:
        return self.tables[Kind.MODULES].add(
            process=process,
            bias=bias,
            start=bias,
            end=bias + size,
            path=self.text(path),
            build_id=self.text(build_id),
        )

    def code(
        self,
        qualname: str,
        filename: str,
        line: int,
        table: bytes = one_line_table(),
        python_version: int = PYTHON_311,
    ) -> int:
        self.code_tables.append(table)
        return self.tables[Kind.CODES].add(
            filename=self.text(filename),
            qualname=self.text(qualname),
            firstlineno=line,
            python_version=python_version,
            table_len=len(table),
        )

    def frame(self, kind: FrameKind, ref: int, offset: int = 0) -> int:
        key = (int(kind), ref, offset)
        if key not in self.frames:
            self.frames[key] = self.tables[Kind.FRAMES].add(kind=kind, ref=ref, offset=offset)
        return self.frames[key]

    def native(self, module: int | None, offset: int) -> int:
        """A native frame; `module` is a row of modules, or None."""
        return self.frame(FrameKind.NATIVE, 0 if module is None else module + 1, offset)

    def python(self, function: str, file: str, line: int) -> int:
        """A Python frame that reads as `function` at `file`:`line`, without columns."""
        key = (function, file, line)
        if key not in self.codes:
            self.codes[key] = self.code(function, file, line)
        return self.frame(FrameKind.PYTHON, self.codes[key])

    def special(self, number: SpecialFrame) -> int:
        return self.frame(FrameKind.SPECIAL, number)

    def stack(self, *frames: int) -> int:
        """The stack of `frames`, outermost first."""
        parent = 0
        for frame in frames:
            key = (parent, frame)
            if key not in self.stacks:
                self.stacks[key] = self.tables[Kind.STACKS].add(parent=parent, frame=frame)
            parent = self.stacks[key] + 1
        return parent - 1

    def context(
        self,
        process: int = 0,
        stack: int = 0,
        kind: ContextKind = ContextKind.MALLOC,
        thread: int = 0,
    ) -> int:
        key = (process, thread, stack, int(kind))
        if key not in self.contexts:
            self.contexts[key] = self.tables[Kind.CONTEXTS].add(
                process=process, thread=thread, stack=stack, kind=kind
            )
        return self.contexts[key]

    def slice(self, start: int, end: int, changes: Mapping[int, Change]) -> int:
        self.slices.append((start, end, changes))
        return len(self.slices) - 1

    def spread(self, slice_: int, blocks: Mapping[tuple[int, int], int]) -> None:
        """Of a slice: (thread, bucket) -> blocks."""
        self.spreads[slice_] = blocks

    def timeline(self, time: int, process: int = ALL, **row: int) -> None:
        self.tables[Kind.TIMELINE].add(time=time, process=process, **row)

    def peak(self, held: Mapping[int, tuple[int, int]], process: int = ALL) -> None:
        """`held`: context -> (blocks, bytes)."""
        for context, (blocks, size) in held.items():
            self.tables[Kind.PEAK].add(process=process, context=context, blocks=blocks, bytes=size)

    def lifetimes(
        self, context: int, by_allocations: Sequence[int], by_time: Sequence[int]
    ) -> None:
        row = {f"by_allocations_{i}": n for i, n in enumerate(by_allocations)}
        row.update({f"by_time_{i}": n for i, n in enumerate(by_time)})
        self.tables[Kind.LIFETIMES].add(context=context, **row)

    def sizes(self, context: int, counts: Sequence[int]) -> None:
        self.tables[Kind.SIZES].add(
            context=context, **{f"size_{i}": n for i, n in enumerate(counts)}
        )

    def mark(self, time: int, name: str, process: int = 0, thread: int = 0) -> None:
        self.tables[Kind.MARKS].add(time=time, process=process, thread=thread, name=self.text(name))

    def note(self, time: int, text: str, process: int = 0) -> None:
        self.tables[Kind.NOTES].add(time=time, process=process, text=self.text(text))

    def symbol(
        self,
        frame: int,
        function: str,
        file: str = "",
        line: int = 0,
        language: Language = Language.UNKNOWN,
        **row: int,
    ) -> None:
        self.tables[Kind.SYMBOLS].add(
            frame=frame,
            function=self.text(function),
            file=self.text(file),
            line=line,
            language=language,
            **row,
        )

    def finish(self, time: int, reason: str = "finished") -> None:
        self.end = (reason, time)

    def write(
        self, path: str | os.PathLike[str], *, level: int | None = None, finished: bool = True
    ) -> str:
        with Writer(path, level=level, finished=finished) as writer:
            self.write_chunks(writer)
        return os.fspath(path)

    def write_chunks(self, writer: Writer) -> None:
        if self.end is not None:
            self.tables[Kind.END].add(reason=self.text(self.end[0]), time=self.end[1])
            self.end = None
        writer.chunk(Kind.META, {"json_bytes": json.dumps(self.meta).encode()})
        joined = [text.encode() for text in self.texts]
        writer.chunk(
            Kind.STRINGS,
            {"s_len": numbers([len(text) for text in joined]), "s_bytes": b"".join(joined)},
        )
        for kind in Kind:
            columns: dict[str, Any] = self.tables[kind].columns()
            if kind == Kind.CODES and columns:
                columns["table_bytes"] = b"".join(self.code_tables)
            if kind == Kind.DELTAS:
                for number, (start, end, changes) in enumerate(self.slices):
                    deltas = delta_columns(number, start, end, changes)
                    spread = spread_columns(self.spreads.get(number, {}))
                    writer.chunk(Kind.DELTAS, {**deltas, **spread})
            elif columns:
                writer.chunk(kind, columns)


def delta_columns(
    number: int, start: int, end: int, changes: Mapping[int, Change]
) -> dict[str, np.ndarray[Any, Any]]:
    """The columns of a `deltas` chunk."""
    columns = {"slice": numbers([number]), "start": numbers([start]), "end": numbers([end])}
    columns["context"] = numbers(list(changes))
    for index, name in enumerate(Change._fields):
        columns[name] = numbers([change[index] for change in changes.values()])
    return columns


def spread_columns(
    blocks: Mapping[tuple[int, int], int],
) -> dict[str, np.ndarray[Any, Any]]:
    """The columns of a `deltas` chunk beside its rows."""
    if not blocks:
        return {}
    return {
        "spread_thread": numbers([thread for thread, _ in blocks]),
        "spread_bucket": numbers([bucket for _, bucket in blocks]),
        "spread_blocks": numbers(list(blocks.values())),
    }


def example() -> Builder:
    """A Python program with a native library, one process, two threads, three slices.

    Figures: 30 allocations, 3 reallocations, 3_300 bytes in total; at exit 6 blocks of 600 bytes
    live; peak 2_000 bytes in 20 blocks at 1.5 s.
    """
    build = Builder()
    process = build.process(
        pid=4711,
        exe="/usr/bin/python3",
        command=["python3", "app.py"],
        end=3 * SECOND,
        peak_bytes=2000,
        peak_time=3 * SECOND // 2,
        peak_rss=50 << 20,
        live_bytes=600,
        live_blocks=6,
        allocations=30,
        deallocations=24,
        reallocations=3,
        bytes=3300,
        copied_bytes=100,
        temporary=5,
        short_lived=8,
        python_version=PYTHON_311,
        python_status=1,
    )
    main = build.thread(process, 4711, "MainThread", end=3 * SECOND)
    worker = build.thread(process, 4712, "worker", start=SECOND, end=2 * SECOND)
    library = build.module(process, "/usr/lib/libwork.so", "00ff" * 10)
    outer = build.python("<module>", "/home/user/app.py", 1)
    load = build.python("load", "/home/user/app.py", 10)
    grow = build.native(library, 0x1234)
    build.symbol(outer, "<module>", "/home/user/app.py", 1, Language.PYTHON)
    build.symbol(load, "load", "/home/user/app.py", 12, Language.PYTHON, column=5, end_line=12)
    build.symbol(
        grow, "std::vector<int>::push_back(int&&)", "/usr/include/vector", 80, Language.CPP
    )
    build.symbol(grow, "work::grow()", "/src/work.cpp", 33, Language.CPP)
    loading = build.context(process, build.stack(outer, load), ContextKind.PY_OBJECT, main)
    growing = build.context(process, build.stack(outer, load, grow), ContextKind.MALLOC, worker)
    arena = build.context(process, build.stack(outer), ContextKind.ARENA, main)
    build.slice(
        0,
        SECOND,
        {loading: Change(10, 1000, 2, 200, 0, 0, 2, 2), arena: Change(1, 1 << 20)},
    )
    build.slice(
        SECOND,
        2 * SECOND,
        {loading: Change(8, 800, 6, 600), growing: Change(10, 1000, 3, 300, 3, 100, 1, 2)},
    )
    build.slice(
        2 * SECOND,
        3 * SECOND,
        {loading: Change(5, 500, 12, 1200, 0, 0, 2, 4), growing: Change(0, 0, 4, 400)},
    )
    build.spread(0, {(main, 0): 2, (main, 8): 2, (main, 19): 10})
    build.spread(1, {(main, 2): 6, (main, 8): 6, (main, 19): 8, (worker, 19): 10})
    for second, live, blocks, peak in ((1, 800, 8, 900), (2, 1700, 17, 2000), (3, 600, 6, 1700)):
        for owner in (ALL, process):
            build.timeline(
                second * SECOND,
                owner,
                live_bytes=live,
                live_blocks=blocks,
                peak_bytes=peak,
                rss=40 << 20,
                pss=30 << 20,
                uss=20 << 20,
                allocations=10,
                bytes=1100,
            )
    for owner in (ALL, process):
        build.peak({loading: (12, 1200), growing: (8, 800), arena: (1, 1 << 20)}, owner)
    build.lifetimes(loading, [4, 4, 4, 4, 4], [10, 10])
    build.lifetimes(growing, [1, 1, 2], [4])
    build.sizes(loading, [0, 0, 0, 23])
    build.sizes(growing, [0, 0, 0, 10])
    build.mark(SECOND, "loaded", process, main)
    build.note(0, "one thing to know", process)
    build.finish(3 * SECOND)
    return build
