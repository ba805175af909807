"""Tables: what rows are called, and what of a long name is kept."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
from tests.recording.make import PYTHON_311, SECOND, Builder, Change

from heaptide.profile import METRICS, Profile
from heaptide.recording import ContextKind, Recording
from heaptide.views import text


def rows(recording: Recording, by: str, width: int = 80) -> list[list[str]]:
    """The cells of each row of the table of the peak, with one space where two columns meet."""
    file = io.StringIO()
    profile = Profile(recording)
    text.show(profile, METRICS["peak"], by, only_table=True, file=file, width=width)
    return [re.split("  +", line) for line in file.getvalue().split("\n") if "%" in line]


def threads_of_python() -> Builder:
    """Threads that the system calls like the program, but for one: how CPython leaves them."""
    build = Builder()
    command = ["python3", "/srv/app.py"]
    process = build.process(10, "/usr/bin/python3.11", command, python_version=PYTHON_311)
    start = build.python("Thread._bootstrap", "/usr/lib/python3.11/threading.py", 1)
    module = build.python("<module>", "/srv/app.py", 1)
    serve, load, log = (build.python(name, "/srv/app.py", 2) for name in ("serve", "load", "log"))
    threads = [
        build.thread(process, 10 + index, name)
        for index, name in enumerate(["python3", "python3", "pool-1", "python3"])
    ]
    held = {
        build.context(process, build.stack(*frames), thread=threads[thread]): (1, size)
        for thread, size, *frames in [
            (0, 900, module, load),
            (1, 400, start, serve, load),
            (1, 30, start, log),
            (2, 200, start, load),
            (3, 100, start),
        ]
    }
    build.slice(0, SECOND, {context: Change(1, size) for context, (_, size) in held.items()})
    build.peak(held)
    build.finish(SECOND)
    return build


def test_threads_are_told_apart_by_what_they_run(tmp_path: Path) -> None:
    recording = Recording.open(threads_of_python().write(tmp_path / "a.tide"))
    assert [row[-2:] for row in rows(recording, "thread")] == [
        ["MainThread", "10"],
        ["runs serve", "11"],
        ["pool-1", "12, runs load"],
        ["thread", "13"],
    ]


def requests_in_threads(count: int) -> Builder:
    """A server with a thread for each request, and a pool whose threads have numbers."""
    build = Builder()
    process = build.process(10, "/usr/bin/python3.11", ["python3", "app.py"])
    main = build.thread(process, 10, "python3")
    quote, work = (build.python(name, "/srv/app.py", 2) for name in ("quote", "work"))
    held = {build.context(process, build.stack(work), thread=main): (1, 500)}
    for number in range(count):
        times = {"start": (number + 1) * 1000, "end": (number + 2) * 1000}
        for name, frame, size in (("python3", quote, 10 + number), (f"pool-{number}", work, 5)):
            thread = build.thread(process, 100 + number, name, **times)
            held[build.context(process, build.stack(frame), thread=thread)] = (1, size)
    build.slice(0, SECOND, {context: Change(1, size) for context, (_, size) in held.items()})
    build.peak(held)
    build.finish(SECOND)
    return build


def test_many_threads_that_are_alike_are_one_row(tmp_path: Path) -> None:
    recording = Recording.open(requests_in_threads(20).write(tmp_path / "a.tide"))
    assert [row[-3:] for row in rows(recording, "thread")] == [
        ["1", "main thread", "10"],
        ["20", "runs quote", "20 threads"],
        ["20", "pool-*", "20 threads, runs work"],
    ]
    file = io.StringIO()
    text.show_views(Profile(recording), METRICS["peak"], threads=True, file=file, width=80)
    shown = [re.split("  +", line.strip()) for line in file.getvalue().split("\n") if " B " in line]
    assert [(row[0], *row[-3:]) for row in shown] == [
        ("500 B", "0 s", "end", "main thread, 10"),
        ("390 B", "1.00 µs", "21.0 µs", "20 x runs quote"),
        ("100 B", "1.00 µs", "21.0 µs", "20 x pool-*"),
    ]
    assert "--json has each" in file.getvalue()


def test_a_few_threads_are_told_one_by_one(tmp_path: Path) -> None:
    recording = Recording.open(requests_in_threads(3).write(tmp_path / "a.tide"))
    assert [row[-2] for row in rows(recording, "thread")] == [
        "main thread",
        *["runs quote"] * 3,
        *["pool-0", "pool-1", "pool-2"],
    ]


def imports() -> Builder:
    """A module that imports a library in its line 1 (700 bytes) and makes 300 of its own there;
    a function that does as much the other way round."""
    build = Builder()
    build.process()
    build.thread()
    module, lazy = build.python("<module>", "/srv/app.py", 1), build.python("f", "/srv/app.py", 5)
    system = build.python("_find_and_load", "<frozen importlib._bootstrap>", 1000)
    library = build.python("<module>", "/usr/lib/python3.11/json/__init__.py", 100)
    held = {
        build.context(stack=build.stack(*frames)): (1, size)
        for size, *frames in [
            (700, module, system, library),
            (300, module),
            (30, module, lazy, system, library),
            (70, module, lazy),
        ]
    }
    build.slice(0, SECOND, {context: Change(1, size) for context, (_, size) in held.items()})
    build.peak(held)
    build.finish(SECOND)
    return build


@pytest.mark.parametrize(
    ("by", "expected"),
    [
        ("function", [["import app", "/srv/app.py:1"], ["f", "/srv/app.py:5"]]),
        ("line", [["/srv/app.py:1", "import app"], ["/srv/app.py:5", "f"]]),
        ("file", [["1.1 kB", "4", "/srv/app.py (imports)"]]),
    ],
)
def test_imports_are_told_from_what_grows(
    tmp_path: Path, by: str, expected: list[list[str]]
) -> None:
    recording = Recording.open(imports().write(tmp_path / "a.tide"))
    assert [row[-len(expected[0]) :] for row in rows(recording, by)] == expected
    fold = Profile(recording).fold(by, METRICS["peak"])
    assert fold.imports.tolist() == ([730] if by == "file" else [700, 30])


def test_what_stays_of_a_long_place(tmp_path: Path) -> None:
    """The module and the line, not half a module and brackets; and whose code it is in line."""
    build = Builder()
    build.process()
    build.thread()
    held = {
        build.context(stack=build.stack(build.python(function, file, 241))): (1, size)
        for size, function, file in [
            (900, "_call_with_frames_removed_and_more", "<frozen importlib._bootstrap>"),
            (50, "decode", "/usr/lib/python3.11/json/decoder.py"),
        ]
    }
    held[build.context(stack=build.stack(), kind=ContextKind.PY_OBJECT)] = (1, 5)
    build.slice(0, SECOND, {context: Change(1, size) for context, (_, size) in held.items()})
    build.peak(held)
    build.finish(SECOND)
    recording = Recording.open(build.write(tmp_path / "a.tide"))
    assert [row[-1] for row in rows(recording, "function")] == [
        "…portlib._bootstrap:241",
        "json/decoder.py:241",
        "(interpreter)",
    ]


def test_code_without_symbols_is_told_by_its_object(tmp_path: Path) -> None:
    build = Builder()
    build.process()
    build.thread()
    frame = build.native(build.module(0, "/usr/lib/x86_64-linux-gnu/libstdc++.so.6"), 0xA57B9)
    build.slice(0, SECOND, {(context := build.context(stack=build.stack(frame))): Change(1, 9)})
    build.peak({context: (1, 9)})
    build.finish(SECOND)
    recording = Recording.open(build.write(tmp_path / "a.tide"))
    for by in ("function", "line"):
        [row] = rows(recording, by)
        assert row[-2:] == ["[no symbols]", "libstdc++.so.6+0xa57b9"], by
    [row] = rows(recording, "module")
    assert "libstdc++.so.6" in " ".join(row)
