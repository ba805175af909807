"""Recordings of small made-up programs: what allocates how much where, to be compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from tests.recording.make import PYTHON_311, SECOND, Builder, Change

from heaptide.profile import Profile
from heaptide.recording import FrameKind, Language, Recording


class Line(NamedTuple):
    """A line of a function: what it holds at the peak, what is called there, and its column."""

    function: str
    number: int
    size: int
    calls: str = ""
    column: int = 0


def python_program(
    path: Path,
    lines: Sequence[Line],
    *,
    starts: Mapping[str, int] | None = None,
    file: str = "/home/u/app/app.py",
    version: int = PYTHON_311,
) -> Profile:
    """Each line allocates one block. ``starts``: first lines of functions (default: unknown)."""
    build = Builder()
    build.process(exe="/usr/bin/python3.11")
    build.thread()
    library = build.module(0, "/usr/lib/libwork.so")
    changes = {}
    addresses: dict[str, int] = {}  # of what is called
    for number, line in enumerate(lines):
        start = (starts or {}).get(line.function, 0)
        key = (line.function, file, start)
        if key not in build.codes:
            build.codes[key] = build.code(line.function, file, start, python_version=version)
        frame = build.frame(FrameKind.PYTHON, build.codes[key], number * 2)
        build.symbol(
            frame,
            line.function,
            file,
            line.number,
            Language.PYTHON,
            column=line.column,
            end_column=line.column + 9 if line.column else 0,
            end_line=line.number if line.column else 0,
        )
        stack = [frame]
        if line.calls:
            address = addresses.setdefault(line.calls, 16 * (1 + len(addresses)))
            called = build.native(library, address)
            build.symbol(called, line.calls, "", 0, Language.C)
            stack.append(called)
        changes[build.context(0, build.stack(*stack))] = Change(1, line.size)
    return _written(build, changes, path)


class Native(NamedTuple):
    """A function of a compiled program, and what it holds. Without a name: at ``address``."""

    name: str
    size: int
    file: str = ""
    line: int = 0
    address: int = 0
    language: Language = Language.CPP


def native_program(
    path: Path,
    functions: Sequence[Native],
    *,
    module: str = "/home/u/app/app",
    build_id: str = "",
    exe: str = "",
) -> Profile:
    build = Builder()
    build.process(exe=exe or module)
    build.thread()
    row = build.module(0, module, build_id)
    changes = {}
    for number, function in enumerate(functions):
        frame = build.native(row, function.address or 0x10000 + number * 16)
        if function.name:
            build.symbol(frame, function.name, function.file, function.line, function.language)
        changes[build.context(0, build.stack(frame))] = Change(1, function.size)
    return _written(build, changes, path)


def _written(build: Builder, changes: Mapping[int, Change], path: Path) -> Profile:
    build.slice(0, SECOND, changes)
    build.peak(
        {context: (change.blocks_in, change.bytes_in) for context, change in changes.items()}
    )
    build.finish(SECOND)
    return Profile(Recording.open(build.write(path)))
