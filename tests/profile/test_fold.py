"""Folds: each byte is charged once, to the place that a person would look at."""

from __future__ import annotations

import tempfile
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.profile.random_recording import random_recording
from tests.recording.make import SECOND, Builder, Change, example

from heaptide.cli.show import FOLDS as CLI_FOLDS
from heaptide.cli.show import METRICS as CLI_METRICS
from heaptide.errors import UsageError
from heaptide.profile import COLUMNS, EVERY_METRIC, FOLDS, METRICS, Fold, Origin, Profile, metric
from heaptide.recording import ContextKind, Language, Recording, SpecialFrame

OUTSIDE_PYTHON = "[interpreter itself]"


def opened(build: Builder, tmp_path: Path) -> Recording:
    return Recording.open(build.write(tmp_path / "a.tide"))


def names(profile: Profile, fold: Fold) -> dict[str, int]:
    """Function (or module, or file) of each group -> the fold's metric."""
    at = profile.locations
    texts: list[str] = at.texts

    def text(row: int) -> str:
        if fold.by == "module":
            return profile.module_of(row)
        file = texts[int(at.file[row])]
        if fold.by == "file":
            return file
        return f"{file}:{at.line[row]}" if fold.by == "line" else texts[int(at.function[row])]

    return dict(zip((text(int(row)) for row in fold.location), fold.values.tolist()))


def one_byte_each(build: Builder, *contexts: int) -> None:
    """Allocates 1, 2, 4, … bytes in one block a context, all alive at the peak."""
    sizes = [1 << i for i in range(len(contexts))]
    build.slice(0, SECOND, {c: Change(1, size) for c, size in zip(contexts, sizes)})
    build.peak({c: (1, size) for c, size in zip(contexts, sizes)})


def test_the_command_line_names_what_there_is() -> None:
    assert tuple(EVERY_METRIC) == CLI_METRICS
    assert FOLDS == CLI_FOLDS


def test_example_is_charged_to_the_users_function(tmp_path: Path) -> None:
    profile = Profile(opened(example(), tmp_path))
    fold = profile.fold("function", metric("peak"), inclusive=True)
    assert names(profile, fold) == {"load": 2000}
    expected = {
        "peak_bytes": 2000,
        "peak_blocks": 20,
        "alive_at_exit_bytes": 600,
        "alive_at_exit_allocations": 6,
        "total_bytes": 3300,
        "allocations": 30,
        "reallocations": 3,
        "copied_bytes": 100,
        "temporary_allocations": 5,
        "short_lived_allocations": 8,
    }
    assert expected == dict(zip(COLUMNS, fold.figures[0].tolist()))
    assert fold.inclusive is not None
    assert fold.inclusive.tolist() == [2000]
    assert profile.locations.line[fold.location[0]] == 12


def test_example_by_thread(tmp_path: Path) -> None:
    fold = Profile(opened(example(), tmp_path)).fold("thread", metric("peak"))
    assert list(zip(fold.entity.tolist(), fold.values.tolist())) == [(0, 1200), (1, 800)]


def test_sites_are_own_else_library_else_interpreter_else_the_innermost(tmp_path: Path) -> None:
    build = Builder()
    build.process(exe="/usr/bin/python3.11")
    build.thread()
    libc = build.module(0, "/usr/lib/libc.so.6")
    python = build.module(0, "/usr/bin/python3.11")
    own = build.python("mine", "/home/u/app.py", 3)
    outer = build.python("<module>", "/home/u/app.py", 9)
    library = build.python("loads", "/usr/lib/python3.11/json/__init__.py", 5)
    frozen = build.python("_find", "<frozen importlib._bootstrap>", 7)
    malloc, strdup = build.native(libc, 16), build.native(libc, 32)
    evaluate = build.native(python, 48)
    for frame, name in ((malloc, "malloc"), (strdup, "strdup"), (evaluate, "PyEval_EvalCode")):
        build.symbol(frame, name, language=Language.C)
    contexts = [
        build.context(stack=build.stack(*stack), kind=kind)
        for stack, kind in (
            ((outer, own, library, strdup, malloc), ContextKind.MALLOC),  # 1: mine
            ((outer, library, own), ContextKind.PY_OBJECT),  # 2: mine
            ((frozen, library, frozen), ContextKind.PY_OBJECT),  # 4: loads
            ((evaluate, frozen, strdup, malloc), ContextKind.MALLOC),  # 8: strdup
            ((evaluate, frozen, malloc), ContextKind.MALLOC),  # 16: _find
            ((malloc,), ContextKind.MALLOC),  # 32: malloc
            ((build.special(SpecialFrame.NO_STACK),), ContextKind.MALLOC),  # 64
            ((build.special(SpecialFrame.CUT_OFF), malloc), ContextKind.MALLOC),  # 128: malloc
        )
    ]
    one_byte_each(build, *contexts)
    profile = Profile(opened(build, tmp_path))
    fold = profile.fold("function", metric("peak"), inclusive=True)
    expected = {
        "malloc": 160,
        "[no stack recorded]": 64,
        "_find": 16,
        "strdup": 8,
        "loads": 4,
        "mine": 3,
    }
    assert expected == names(profile, fold)
    origins = [Origin(o) for o in profile.locations.origin[fold.location]]
    allocator, unknown, interpreter, library_, own_ = (
        Origin.ALLOCATOR,
        Origin.UNKNOWN,
        Origin.INTERPRETER,
        Origin.LIBRARY,
        Origin.OWN,
    )
    assert [allocator, unknown, interpreter, library_, library_, own_] == origins
    assert fold.inclusive is not None
    found = dict(zip(names(profile, fold), fold.inclusive.tolist()))
    assert {**expected, "malloc": 185, "_find": 28, "strdup": 9, "loads": 7} == found


def test_contexts_without_a_stack_are_named(tmp_path: Path) -> None:
    build = Builder()
    build.process()
    build.thread()
    some = build.stack(build.python("f", "/a.py", 1))
    none = build.stack(build.special(SpecialFrame.NO_STACK))
    contexts = [build.context(stack=some), build.context(stack=none)]
    contexts.append(build.context(stack=none, kind=ContextKind.PY_OBJECT))
    one_byte_each(build, *contexts)
    profile = Profile(opened(build, tmp_path))
    fold = profile.fold("function", metric("peak"), inclusive=True)
    expected = {OUTSIDE_PYTHON: 4, "[no stack recorded]": 2, "f": 1}
    assert expected == names(profile, fold)
    assert fold.inclusive is not None
    assert fold.inclusive.tolist() == [4, 2, 1]


def test_inlined_functions_are_frames(tmp_path: Path) -> None:
    """Memory of a library function that was inlined into one's own is one's own."""
    build = Builder()
    build.process(exe="/home/u/app")
    build.thread()
    module = build.module(0, "/home/u/app")
    main, inlined = build.native(module, 16), build.native(module, 32)
    build.symbol(main, "main", "/src/main.rs", 40, Language.RUST)
    build.symbol(inlined, "alloc::vec::Vec<T,A>::push", "/rustc/1/library/a.rs", 9, Language.RUST)
    build.symbol(inlined, "app::collect", "/src/main.rs", 7, Language.RUST)
    build.symbol(inlined, "app::run", "/src/main.rs", 20, Language.RUST)
    one_byte_each(build, build.context(stack=build.stack(main, inlined)))
    profile = Profile(opened(build, tmp_path))
    assert names(profile, profile.fold("function", metric("peak"))) == {"app::collect": 1}
    assert names(profile, profile.fold("line", metric("peak"))) == {"/src/main.rs:7": 1}
    texts, at = profile.locations.texts, profile.locations
    node, stack = int(profile.context_node[0]), []
    while node >= 0:
        stack.append(texts[at.function[profile.node_location[node]]])
        node = int(profile.tree.parent[node])
    assert stack == ["alloc::vec::Vec<T,A>::push", "app::collect", "app::run", "main"]


def test_functions_without_symbols_are_addresses_of_their_module(tmp_path: Path) -> None:
    build = Builder()
    build.process(exe="/home/u/app")
    build.thread()
    module = build.module(0, "/home/u/app")
    one, two = (build.context(stack=build.stack(build.native(module, at))) for at in (16, 32))
    one_byte_each(build, one, two)
    profile = Profile(opened(build, tmp_path))
    by_function = names(profile, profile.fold("function", metric("peak")))
    assert by_function == {"0x20 in app": 2, "0x10 in app": 1}
    assert names(profile, profile.fold("module", metric("peak"))) == {"/home/u/app": 3}
    by_file = profile.fold("file", metric("peak"))
    assert by_file.values.tolist() == [3]


def test_namesakes_are_told_apart_by_file_and_the_heaviest_line_is_shown(tmp_path: Path) -> None:
    build = Builder()
    build.process()
    build.thread()
    places = [("f", "/a.py", 1), ("f", "/b.py", 1), ("f", "/a.py", 2), ("g", "/a.py", 2)]
    contexts = [build.context(stack=build.stack(build.python(*place))) for place in places]
    one_byte_each(build, *contexts)  # 1, 2, 4, 8
    profile = Profile(opened(build, tmp_path))
    at = profile.locations
    fold = profile.fold("function", metric("peak"))
    found = [
        (at.texts[at.function[row]], at.texts[at.file[row]], int(at.line[row]), value)
        for row, value in zip(fold.location.tolist(), fold.values.tolist())
    ]
    assert found == [("g", "/a.py", 2, 8), ("f", "/a.py", 2, 5), ("f", "/b.py", 1, 2)]
    lines = names(profile, profile.fold("line", metric("peak")))
    assert lines == {"/a.py:2": 12, "/b.py:1": 2, "/a.py:1": 1}
    assert names(profile, profile.fold("file", metric("peak"))) == {"/a.py": 13, "/b.py": 2}


def test_a_line_is_told_by_the_function_with_most_of_it(tmp_path: Path) -> None:
    """A function's line defines it, calls it, and holds what its comprehension made."""
    build = Builder()
    build.process()
    build.thread()
    functions = ("<module>", "f", "f.<locals>.<listcomp>", "f", "g")
    frames = [build.python(function, "/a.py", 1) for function in functions]
    contexts = [
        build.context(stack=build.stack(build.python("main", "/a.py", 9 + row), frame))
        for row, frame in enumerate(frames)
    ]
    sizes = dict(zip(contexts, (1, 30, 50, 30, 2)))  # f has 60, of several calls
    build.slice(0, SECOND, {c: Change(1, size) for c, size in sizes.items()})
    build.peak({c: (1, size) for c, size in sizes.items()})
    build.slice(SECOND, 2 * SECOND, {contexts[2]: Change(40, 40)})
    profile = Profile(opened(build, tmp_path))
    at = profile.locations
    for name, function, size in (("peak", "f", 113), ("total", "f.<locals>.<listcomp>", 153)):
        fold = profile.fold("line", metric(name))
        assert fold.values.tolist() == [size]
        assert at.texts[at.function[fold.location[0]]] == function
        assert at.texts[at.function[profile.fold("file", metric(name)).location[0]]] == function


def test_modules_of_python_are_packages(tmp_path: Path) -> None:
    build = Builder()
    build.process()
    build.thread()
    files = (
        "/home/u/app/main.py",
        "/home/u/app/api/views.py",
        "/home/u/app/api/__init__.py",
        "/v/lib/python3.11/site-packages/flask/app.py",
        "/v/lib/python3.11/site-packages/flask/ctx.py",
        "/usr/lib/python3.11/json/decoder.py",
        "/usr/lib/python3.11/os.py",
        "<frozen importlib._bootstrap>",
    )
    contexts = [build.context(stack=build.stack(build.python("f", file, 1))) for file in files]
    one_byte_each(build, *contexts)
    profile = Profile(opened(build, tmp_path))
    expected = {
        "importlib": 128,
        "os": 64,
        "json": 32,
        "flask": 24,
        "api": 4,
        "api.views": 2,
        "main": 1,
    }
    assert expected == names(profile, profile.fold("module", metric("peak")))


def test_recursion_counts_once(tmp_path: Path) -> None:
    build = Builder()
    build.process()
    build.thread()
    f, g = build.python("f", "/a.py", 1), build.python("g", "/a.py", 2)
    contexts = [build.context(stack=build.stack(*s)) for s in ((f,), (f, f, g, f), (g, g))]
    one_byte_each(build, *contexts)
    profile = Profile(opened(build, tmp_path))
    fold = profile.fold("function", metric("peak"), inclusive=True)
    assert names(profile, fold) == {"g": 4, "f": 3}
    assert fold.inclusive is not None
    assert dict(zip(names(profile, fold), fold.inclusive.tolist())) == {"g": 6, "f": 3}


def test_processes_are_kept_apart(tmp_path: Path) -> None:
    build = Builder()
    parent = build.process(10, peak_bytes=1)
    first = build.process(11, parent=parent + 1, peak_bytes=40)
    second = build.process(11, parent=parent + 1, image=1, peak_bytes=5)
    for process in (parent, first, second):
        build.thread(process, 10 + process)
    stack = build.stack(build.python("f", "/a.py", 1))
    a, b, c = (build.context(p, stack, thread=p) for p in (parent, first, second))
    build.slice(0, SECOND, {a: Change(1, 1), b: Change(4, 40, 4, 40), c: Change(1, 5)})
    build.peak({a: (1, 1), b: (4, 40)})
    build.peak({b: (4, 40)}, first)
    build.peak({c: (1, 5)}, second)
    recording = opened(build, tmp_path)
    by_process = Profile(recording).fold("process", metric("peak"))
    assert list(zip(by_process.entity.tolist(), by_process.values.tolist())) == [
        (1, 40),
        (0, 1),
        (2, 0),
    ]
    # Images of one pid follow one another: the higher peak is that of the process.
    child = Profile(recording, [first, second])
    assert child.totals[:6].tolist() == [40, 4, 5, 1, 45, 5]
    assert Profile(recording, [second]).totals[:4].tolist() == [5, 1, 5, 1]


def test_live_at_a_moment(tmp_path: Path) -> None:
    profile = Profile(opened(example(), tmp_path))
    sums = [tuple(int(column.sum()) for column in profile.live_at(t)) for t in (0.5, 1, 2.5, 3)]
    assert sums == [(0, 0), (800, 8), (1700, 17), (600, 6)]


def test_unknown_names_are_refused(tmp_path: Path) -> None:
    profile = Profile(opened(example(), tmp_path))
    with pytest.raises(UsageError, match="function, line"):
        profile.fold("colour", metric("peak"))
    with pytest.raises(UsageError, match="peak, alive"):
        metric("colour")


def test_an_empty_recording_folds_to_nothing(tmp_path: Path) -> None:
    profile = Profile(opened(Builder(), tmp_path))
    for by in FOLDS:
        fold = profile.fold(by, metric("peak"), inclusive=True)
        assert (0, len(COLUMNS)) == fold.figures.shape
    assert [0] * len(COLUMNS) == profile.totals.tolist()


@given(st.integers(0, 10**9))
@settings(deadline=None, max_examples=60)
def test_every_fold_adds_up_to_the_recorders_totals(seed: int) -> None:
    """Nothing is lost or counted twice, whatever it is folded by."""
    with tempfile.TemporaryDirectory() as directory:
        recording = random_recording(seed, Path(directory) / "a.tide")
        profile = Profile(recording)
        summary = recording.summary
        expected = [
            summary.peak_bytes,
            summary.peak_blocks,
            summary.alive_at_exit_bytes,
            summary.alive_at_exit_blocks,
            summary.total_bytes,
            summary.allocations,
            summary.reallocations,
            summary.copied_bytes,
            summary.temporary,
            summary.short_lived,
        ]
        for by in FOLDS:
            for chosen in METRICS.values():
                fold = profile.fold(by, chosen, inclusive=True)
                assert expected == fold.figures.sum(axis=0).tolist()
                assert (np.diff(fold.values) <= 0).all()
                assert fold.inclusive is not None
                whole = int(chosen.of(profile.totals[None, :])[0])
                assert (fold.inclusive <= whole).all()
                assert by in ("thread", "process") or len(fold) == len(set(fold.location.tolist()))
        parts = [Profile(recording, [row]).totals[2:] for row in range(len(recording.processes))]
        assert expected[2:] == np.sum(parts, axis=0).tolist()


@given(st.integers(0, 10**9))
@settings(deadline=None, max_examples=60)
def test_inclusive_is_the_sum_over_stacks_that_contain_a_function(seed: int) -> None:
    """Against a walk over frame names, context by context."""
    with tempfile.TemporaryDirectory() as directory:
        recording = random_recording(seed, Path(directory) / "a.tide")
        profile = Profile(recording)
        at, frame_names = profile.locations, recording.frame_names()
        total = metric("total")
        values = total.of(profile.figures).tolist()
        expected: dict[tuple[str, str, str], int] = defaultdict(int)
        for context, value in enumerate(values):
            seen = set()
            for frame in recording.stack_frames(int(recording.contexts.stack[context])):
                for name in frame_names[frame]:
                    ref = int(recording.frames.ref[frame])
                    native = recording.frames.kind[frame] == 0 and ref >= 0
                    path = recording.modules.path[ref] if native else ""
                    seen.add((name.function, name.file, "" if name.file else path))
            objects = 2 <= recording.contexts.kind[context] <= 4
            if objects and all(function.startswith("[") for function, _, _ in seen):
                seen = {(OUTSIDE_PYTHON, "", "")}
            for key in seen:
                expected[key] += value
        fold = profile.fold("function", total, inclusive=True)
        assert fold.inclusive is not None
        for row, value in zip(fold.location.tolist(), fold.inclusive.tolist()):
            file = at.texts[at.file[row]]
            module = "" if file else at.texts[at.module[row]]
            assert expected[at.texts[at.function[row]], file, module] == value
