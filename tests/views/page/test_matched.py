"""Pages of differences say what ``heaptide diff`` says: the same places of two programs are one."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from tests.profile.programs import Line, Native, native_program, python_program
from tests.recording.make import SECOND, Builder, Change

from heaptide.profile import METRICS, Profile, compare
from heaptide.recording import Recording
from heaptide.views.page import build
from heaptide.views.page.blob import decode

OLD, NEW = 0x030B00F0, 0x030C00F0  # from 3.12 on comprehensions have no code of their own
Pair = tuple[Profile, Profile]


class Frame(NamedTuple):
    function: str
    line: int
    file: str = "/home/u/app.py"


class Program:
    """Stacks of Python frames, the outermost first, and what each holds at the peak."""

    def __init__(self, path: Path, version: int = OLD, script: str = "/home/u/app.py") -> None:
        self.path, self.version = path, version
        self.build = Builder()
        self.build.process(exe="/usr/bin/python3", command=["python3", script], end=SECOND)
        self.build.thread()
        self.held: dict[int, int] = {}

    def holds(self, size: int, *frames: Frame) -> Program:
        build = self.build
        for frame in frames:
            key = (frame.function, frame.file, frame.line)
            if key not in build.codes:
                version = self.version
                build.codes[key] = build.code(*key, python_version=version)
        context = build.context(stack=build.stack(*(_frame(build, frame) for frame in frames)))
        self.held[context] = size
        return self

    def profile(self) -> Profile:
        self.build.slice(0, SECOND, {context: Change(1, n) for context, n in self.held.items()})
        self.build.peak({context: (1, size) for context, size in self.held.items()})
        self.build.finish(SECOND)
        return Profile(Recording.open(self.build.write(self.path)))


def _frame(build: Builder, frame: Frame) -> int:
    return build.python(frame.function, frame.file, frame.line)


def page_of(pair: Pair) -> tuple[dict[str, Any], dict[str, Any], list[str]]:
    return decode(build(pair[1], pair[0]).data)


def told(pair: Pair, by: str) -> dict[tuple[str, ...], tuple[int, int]]:
    """What the page has, as ``keyOf`` of web/src/model/groups.ts groups it: bytes at the peak."""
    _, columns, texts = page_of(pair)
    found: dict[tuple[str, ...], tuple[int, int]] = {}
    sites = columns["sample.site"].tolist()
    sides = (columns["base.peak_bytes"].tolist(), columns["sample.peak_bytes"].tolist())
    for site, *sizes in zip(sites, *sides):
        function, file, module = (
            texts[int(columns[f"location.{name}"][site])] for name in ("function", "file", "module")
        )
        line = int(columns["location.line"][site])
        key: tuple[str, ...] = (function, file, "" if file else module)
        before = int(columns.get("location.old_line", {site: 0})[site])
        if by == "line" and file and line:
            key = (file, str(line))
        elif by == "line" and file and before:
            key = (texts[int(columns["location.old_file"][site])], f"{before} (before)")
        elif by == "file" and file:
            key = (file,)
        elif by in ("file", "module") and module:
            key = (module,)
        sums = found.get(key, (0, 0))
        found[key] = (sums[0] + sizes[0], sums[1] + sizes[1])
    return {key: sizes for key, sizes in found.items() if any(sizes)}


def same(pair: Pair, *folds: str) -> None:
    """The page and ``diff`` have the same figures, group by group."""
    metric = METRICS["peak"]
    for by in folds or ("function", "line", "file", "module"):
        diff = compare(*pair, by, metric)
        sides = zip(metric.of(diff.old).tolist(), metric.of(diff.new).tolist())
        assert sorted(told(pair, by).values()) == sorted(filter(any, sides)), by


def names(pair: Pair, by: str = "function") -> dict[str, tuple[int, int]]:
    """By function, or file and line, what the page has before and after."""
    return {
        ":".join(key) if by == "line" else key[0]: sizes for key, sizes in told(pair, by).items()
    }


def application(path: Path, file: str, shift: int, sizes: tuple[int, ...]) -> Profile:
    script = Frame("<module>", 9 + shift, file)
    main = Frame("main", 6 + shift, file)
    program = Program(path, script=file)
    for number, (function, size) in enumerate(zip(("load", "cache", "gone", "fresh"), sizes)):
        line = 2 + number + shift
        if size:
            program.holds(size, script, main, Frame(function, line, file))
    return program.holds(10, script).profile()


def test_a_renamed_file(tmp_path: Path) -> None:
    pair = (
        application(tmp_path / "a.tide", "/home/u/a.py", 0, (500, 100, 70)),
        application(tmp_path / "b.tide", "/home/u/b.py", 2, (300, 800, 0, 90)),
    )
    same(pair, "function", "file", "module")
    assert names(pair) == {
        "load": (500, 300),
        "cache": (100, 800),
        "gone": (70, 0),
        "fresh": (0, 90),
        "<module>": (10, 10),
    }
    lines = names(pair, "line")
    assert lines["/home/u/b.py:4"] == (500, 300)
    assert lines["/home/u/b.py:5"] == (100, 800)
    header, _, texts = page_of(pair)
    assert header["modules"]["/home/u/b.py"] == "b.py"
    assert "/home/u/a.py" not in texts


def test_a_file_of_the_older_one_alone(tmp_path: Path) -> None:
    pair = (
        Program(tmp_path / "a", script="/home/u/a.py")
        .holds(5, Frame("<module>", 1, "/home/u/a.py"), Frame("first", 2, "/home/u/a.py"))
        .profile(),
        Program(tmp_path / "b", script="/home/u/b.py")
        .holds(7, Frame("second", 2, "/home/u/b.py"))
        .profile(),
    )
    same(pair)
    assert page_of(pair)[0]["modules"] == {"/home/u/a.py": "a.py"}


def test_moved_lines(tmp_path: Path) -> None:
    lines = [Line("work", line, 100 * line, calls=f"leaf{line}") for line in (20, 21, 22)]
    moved = [line._replace(number=line.number + 7) for line in lines]
    new = Line("work", 20, 5, calls="other")  # has the number of one of before
    pair = (
        python_program(tmp_path / "a.tide", lines, starts={"work": 19}),
        python_program(tmp_path / "b.tide", [new, *moved], starts={"work": 19}),
    )
    same(pair)
    assert names(pair, "line") == {
        "/home/u/app/app.py:20": (0, 5),
        **{f"/home/u/app/app.py:{line + 7}": (line * 100, line * 100) for line in (20, 21, 22)},
    }


def test_a_line_that_is_gone_is_not_another_of_its_number(tmp_path: Path) -> None:
    lines = [Line("work", 20 + n, 300 // (n + 1), calls=called) for n, called in enumerate("abc")]
    moved = [line._replace(number=line.number - 1) for line in lines[1:]]
    pair = (
        python_program(tmp_path / "a.tide", lines, starts={"work": 18}),
        python_program(tmp_path / "b.tide", moved, starts={"work": 17}),
    )
    same(pair)
    assert names(pair, "line")["/home/u/app/app.py:20"] == (150, 150)
    assert names(pair, "line")["/home/u/app/app.py:20 (before)"] == (300, 0)


def test_two_lines_that_are_gone_are_two(tmp_path: Path) -> None:
    """Both have numbers that others have in the newer recording."""
    lines = [Line("work", 20 + n, 2 ** (9 - n), calls=called) for n, called in enumerate("abcd")]
    moved = [line._replace(number=line.number - 2) for line in lines[2:]]
    pair = (
        python_program(tmp_path / "a.tide", lines, starts={"work": 18}),
        python_program(tmp_path / "b.tide", moved, starts={"work": 16}),
    )
    same(pair)
    found = names(pair, "line")
    assert found["/home/u/app/app.py:20 (before)"] == (512, 0)
    assert found["/home/u/app/app.py:21 (before)"] == (256, 0)
    assert found["/home/u/app/app.py:20"] == (128, 128)
    assert "location.old_line" not in decode(build(pair[1]).data)[1]


def test_lines_of_a_function_that_moved_to_another_file_are_told_by_the_old_one(
    tmp_path: Path,
) -> None:
    was = [Native("app::load()", 3, "/s/old.cpp", 3), Native("app::load()", 4, "/s/old.cpp", 4)]
    now = [Native("app::load()", 9, "/s/new.cpp", 7), Native("start", 1, "/s/old.cpp", 1)]
    pair = native_program(tmp_path / "a", was), native_program(tmp_path / "b", now)
    same(pair, "function", "line")
    assert names(pair, "line") == {
        "/s/old.cpp:3 (before)": (3, 0),
        "/s/old.cpp:4 (before)": (4, 0),
        "/s/new.cpp:7": (0, 9),
        "/s/old.cpp:1": (0, 1),
    }


def test_another_checkout(tmp_path: Path) -> None:
    sizes = (500, 100, 70, 8)
    pair = (
        application(tmp_path / "a.tide", "/home/u/app.py", 0, sizes),
        application(tmp_path / "b.tide", "/srv/checkout/app.py", 0, sizes[::-1]),
    )
    same(pair)
    assert names(pair)["load"] == (500, 8)
    assert not any(text.startswith("/home/u") for text in page_of(pair)[2])


@pytest.mark.parametrize("versions", [(OLD, NEW), (NEW, OLD)])
def test_comprehensions_have_no_code_of_their_own_from_3_12_on(
    tmp_path: Path, versions: tuple[int, int]
) -> None:
    profiles = []
    for version in versions:
        script, load = Frame("<module>", 9), Frame("load", 2)
        program = Program(tmp_path / f"{version}.tide", version)
        if version < NEW:
            program.holds(500, script, load, Frame("load.<locals>.<listcomp>", 3))
            program.holds(30, script, Frame("<listcomp>", 8))
        else:
            program.holds(480, script, load._replace(line=3)).holds(30, Frame("<module>", 8))
        profiles.append(program.profile())
    pair = profiles[0], profiles[1]
    same(pair)
    sizes = (500, 480) if versions[0] < NEW else (480, 500)
    assert names(pair) == {"load": sizes, "<module>": (30, 30)}
    _, columns, _ = page_of(pair)
    assert columns["node.depth"].tolist() == [0, 0, 1]  # stacks of both are the same


def test_copies_that_compilers_make_are_one(tmp_path: Path) -> None:
    pair = (
        native_program(tmp_path / "a", [Native("grow.part.0", 1), Native("grow.cold", 2)]),
        native_program(tmp_path / "b", [Native("grow.part.1", 5), Native("grow", 7)]),
    )
    same(pair)
    assert names(pair) == {"grow": (3, 12)}


def test_code_without_symbols_is_one_of_its_object(tmp_path: Path) -> None:
    nameless = [Native("", 1, address=0x10), Native("", 2, address=0x20)]
    pair = native_program(tmp_path / "a", nameless), native_program(tmp_path / "b", nameless[1:])
    same(pair)
    assert names(pair) == {"[no symbols] app": (3, 2)}


def test_a_build_without_debug_information(tmp_path: Path) -> None:
    functions = [Native("app::load()", 1, "/s/load.cpp", 3), Native("start", 1, "/s/a.c", 1)]
    bare = [Native("app::load()", 2), Native("start", 2)]
    profiles = native_program(tmp_path / "a", functions), native_program(tmp_path / "b", bare)
    for pair in (profiles, profiles[::-1]):
        same(pair, "function", "line", "module")


def test_stacks_with_moved_lines_are_one(tmp_path: Path) -> None:
    """Nodes of one place below the same node."""

    def recorded(path: Path, shift: int) -> Profile:
        program = Program(path)
        for number, line in enumerate((20, 21, 22)):
            frames = Frame("main", 3), Frame("work", line + shift), Frame(f"leaf{number}", 5, "/b")
            program.holds(100 * (number + 1), *frames)
        return program.profile()

    pair = recorded(tmp_path / "a.tide", 0), recorded(tmp_path / "b.tide", 7)
    _, columns, _ = page_of(pair)
    assert len(columns["node.depth"]) == 7
    assert np.array_equal(columns["sample.peak_bytes"], columns["base.peak_bytes"])
