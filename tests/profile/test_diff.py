"""Differences of two recordings: matched by names, and complete."""

from __future__ import annotations

import tempfile
from dataclasses import asdict
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.profile.programs import Line, python_program
from tests.profile.random_recording import random_recording
from tests.recording.make import SECOND, Builder, Change

from heaptide.errors import UsageError
from heaptide.profile import EVERY_METRIC, FOLDS, METRICS, Profile, Status, compare, summarize
from heaptide.profile.diff import summary_change
from heaptide.recording import Language, Recording
from heaptide.views.diff_document import diff_document


@given(st.integers(0, 10**9), st.integers(0, 10**9))
@settings(max_examples=25, deadline=None)
def test_differences_sum_up_to_the_difference_of_totals(one: int, other: int) -> None:
    """To the byte, in every metric and by everything."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / name for name in ("old.tide", "new.tide")]
        recordings = [random_recording(seed, path) for seed, path in zip((one, other), paths)]
        old, new = (Profile(recording) for recording in recordings)
        for by in FOLDS:
            for metric in METRICS.values():
                found = compare(old, new, by, metric)
                assert int(found.change.sum()) == new.total_of(metric) - old.total_of(metric)
                assert found.change.tolist() == sorted(found.change.tolist(), reverse=True)
                assert found.old.sum(axis=0).tolist() == old.totals.tolist()
                assert found.new.sum(axis=0).tolist() == new.totals.tolist()
        for recording in recordings:
            recording.close()


@given(st.integers(0, 10**9))
@settings(max_examples=15, deadline=None)
def test_a_recording_does_not_differ_from_itself(seed: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        with random_recording(seed, Path(folder) / "a.tide") as recording:
            profile = Profile(recording)
            for by in FOLDS:
                found = compare(profile, profile, by, METRICS["total"])
                assert set(found.status.tolist()) <= {Status.SAME}
                assert len(
                    {(int(place), bool(new)) for place, new in zip(found.place, found.in_new)}
                ) == len(found)


def recording(
    path: Path, root: str, held: dict[tuple[str, int], int], *, hashed: str = ""
) -> Recording:
    """One that held so many bytes for each function and line, in files below ``root``."""
    build = Builder()
    build.process(1, f"{root}/bin/app")
    build.thread()
    module = build.module(0, f"{root}/bin/app")
    changes = {}
    for number, ((function, line), size) in enumerate(held.items()):
        frame = build.native(module, number * 16)
        build.symbol(frame, function + hashed, f"{root}/src/{function}.rs", line, Language.RUST)
        changes[build.context(0, build.stack(frame))] = Change(1, size)
    build.slice(0, SECOND, changes)
    build.peak(
        {context: (change.blocks_in, change.bytes_in) for context, change in changes.items()}
    )
    build.finish(SECOND)
    return Recording.open(build.write(path))


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Profile, Profile]:
    old = recording(
        tmp_path / "old.tide",
        "/ci/1",
        {("a::load", 3): 100, ("a::save", 9): 50, ("a::gone", 1): 7, ("a::same", 2): 5},
        hashed="::h0123456789abcdef",
    )
    new = recording(
        tmp_path / "new.tide",
        "/home/u/a",
        {("a::load", 5): 300, ("a::save", 9): 20, ("a::fresh", 1): 9, ("a::same", 2): 5},
        hashed="::hfedcba9876543210",
    )
    return Profile(old), Profile(new)


def rows(pair: tuple[Profile, Profile], by: str) -> list[tuple[str, int, str]]:
    found = compare(*pair, by, METRICS["peak"])
    names = []
    for place, in_new in zip(found.place.tolist(), found.in_new.tolist()):
        locations = pair[int(in_new)].locations
        names.append(locations.texts[locations.function[place]].rpartition("::")[0])
    statuses = [Status(status).name for status in found.status.tolist()]
    return list(zip(names, found.change.tolist(), statuses))


def test_functions_of_another_build_in_another_place(pair: tuple[Profile, Profile]) -> None:
    assert rows(pair, "function") == [
        ("a::load", 200, "GREW"),
        ("a::fresh", 9, "NEW"),
        ("a::same", 0, "SAME"),
        ("a::gone", -7, "GONE"),
        ("a::save", -30, "SHRANK"),
    ]


def test_lines_match_where_their_function_has_moved_to(pair: tuple[Profile, Profile]) -> None:
    assert rows(pair, "line") == rows(pair, "function")
    found = compare(*pair, "line", METRICS["peak"])
    lines = [p.locations.line[at[0]] for p, at in zip(pair, found.places)]
    assert lines == [3, 5]


def test_modules_of_one_name_in_two_places(pair: tuple[Profile, Profile]) -> None:
    found = compare(*pair, "module", METRICS["peak"])
    assert found.change.tolist() == [334 - 162]


@given(st.integers(0, 10**9), st.integers(0, 10**9))
@settings(max_examples=10, deadline=None)
def test_leaks_sum_up_too(one: int, other: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / name for name in ("old.tide", "new.tide")]
        recordings = [random_recording(seed, path) for seed, path in zip((one, other), paths)]
        old, new = (Profile(recording) for recording in recordings)
        for by in FOLDS:
            found = compare(old, new, by, EVERY_METRIC["leaked"])
            expected = new.total_of(EVERY_METRIC["leaked"]) - old.total_of(EVERY_METRIC["leaked"])
            assert int(found.change.sum()) == expected
        for recording in recordings:
            recording.close()


def told_of_a_line(tmp_path: Path, old: dict[str, int], new: dict[str, int]) -> tuple[str, str]:
    """What stands for the line that all of ``old`` and ``new`` is on, and what JSON says."""
    old_program, new_program = (
        python_program(
            tmp_path / name, [Line(function, 3, size) for function, size in held.items()]
        )
        for name, held in (("old.tide", old), ("new.tide", new))
    )
    found = compare(old_program, new_program, "line", METRICS["peak"])
    assert len(found) == 1
    at = new_program.locations
    document = diff_document(old_program, new_program, METRICS["peak"], "line")
    return at.texts[at.function[found.place[0]]], document["changes"][0]["function"]


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ({"f": 10, "f.<listcomp>": 500}, {"f": 9, "f.<listcomp>": 5}, "f.<listcomp>"),
        ({"f": 10, "g": 20}, {"f": 9, "h": 70}, "h"),
    ],
)
def test_a_line_is_told_by_the_function_with_most_of_it_in_either(
    tmp_path: Path, old: dict[str, int], new: dict[str, int], told: str
) -> None:
    assert told_of_a_line(tmp_path, old, new) == (told, told)


def test_what_left_a_line_is_told(tmp_path: Path) -> None:
    assert told_of_a_line(tmp_path, {"f": 10, "g": 200}, {"f": 9}) == ("f", "g")


def test_new_is_what_had_no_memory_before(tmp_path: Path) -> None:
    """By any metric: what was there and held nothing at the peak has grown."""
    lines = [Line("f", 1, 10), Line("g", 5, 10)]
    old, new = python_program(tmp_path / "a", lines[:1]), python_program(tmp_path / "b", lines)
    build = Builder()
    build.process(exe="/usr/bin/python3.11")
    build.thread()
    context = build.context(stack=build.stack(build.python("g", "/home/u/app/app.py", 5)))
    build.slice(0, SECOND, {context: Change(1, 10, 1, 10)})
    build.finish(SECOND)
    before = Profile(Recording.open(build.write(tmp_path / "c")))
    for base, status in ((old, Status.NEW), (before, Status.GREW)):
        found = compare(base, new, "function", METRICS["peak"])
        names = [new.locations.texts[new.locations.function[at]] for at in found.places[1].tolist()]
        assert Status(int(found.status[names.index("g")])) == status


def scaled(tmp_path: Path, name: str, seconds: int, sizes: list[int]) -> Profile:
    build = Builder()
    build.process()
    build.thread()
    contexts = [
        build.context(stack=build.stack(build.python(f"f{i}", "/a.py", 1 + i)))
        for i in range(len(sizes))
    ]
    build.slice(0, seconds * SECOND, {c: Change(1, size) for c, size in zip(contexts, sizes)})
    build.finish(seconds * SECOND)
    return Profile(Recording.open(build.write(tmp_path / name)))


def test_scaled_to_the_length_of_the_runs(tmp_path: Path) -> None:
    old, new = scaled(tmp_path, "a", 3, [30, 300, 9]), scaled(tmp_path, "b", 9, [90, 1800, 9])
    found = compare(old, new, "function", METRICS["total"], scale="time")
    assert found.step.tolist() == [100.0, 0.0, -2.0]
    assert [Status(s).name for s in found.status.tolist()] == ["GREW", "SAME", "SHRANK"]
    assert found.change.tolist() == [1500, 60, 0]
    by_calls = compare(old, new, "function", METRICS["total"], scale="allocations")
    assert by_calls.step.tolist() == [500.0, 20.0, 0.0]


def test_rounding_is_no_difference(tmp_path: Path) -> None:
    old, new = scaled(tmp_path, "a", 3, [1, 1]), scaled(tmp_path, "b", 7 * 3, [7, 7])
    found = compare(old, new, "function", METRICS["total"], scale="time")
    assert found.step.tolist() == [0.0, 0.0]


@pytest.mark.parametrize(
    ("metric", "scale", "said"),
    [
        ("peak", "time", "does not add up over a run"),
        ("alive", "allocations", "does not add up over a run"),
        ("total", "weight", "time, allocations"),
    ],
)
def test_scales_that_make_no_sense_are_refused(
    tmp_path: Path, metric: str, scale: str, said: str
) -> None:
    profile = scaled(tmp_path, "a", 1, [1])
    with pytest.raises(UsageError, match=said):
        compare(profile, profile, "function", METRICS[metric], scale=scale)


def test_nothing_to_divide_by(tmp_path: Path) -> None:
    some = scaled(tmp_path, "a", 1, [1])
    empty = Profile(Recording.open(Builder().write(tmp_path / "b")))
    for pair, scale in (((some, empty), "time"), ((empty, some), "allocations")):
        with pytest.raises(UsageError, match="nothing to divide by"):
            compare(*pair, "function", METRICS["total"], scale=scale)


def server(path: Path, root: str, workers: list[tuple[str, str, int]]) -> Profile:
    """A program with threads: what each is called, what it runs, and how much it allocates."""
    build = Builder()
    build.process(7, "/usr/bin/python3", ["python3", f"{root}/serve.py", "--port", "80"])
    build.thread(0, 7)
    changes = {}
    for number, (name, function, size) in enumerate(workers):
        thread = build.thread(0, 100 + number, name)
        stack = build.stack(build.python(function, f"{root}/serve.py", 3))
        changes[build.context(0, stack, thread=thread)] = Change(1, size)
    build.slice(0, SECOND, changes)
    build.finish(SECOND)
    return Profile(Recording.open(build.write(path)))


def test_threads_by_name_and_by_what_they_run(tmp_path: Path) -> None:
    old = server(
        tmp_path / "a",
        "/a",
        [("pool_0", "work", 1), ("pool_1", "work", 2), ("gc", "gc", 4), ("python3", "watch", 8)],
    )
    new = server(
        tmp_path / "b",
        "/b",
        [("pool_0", "work", 10), ("pool_7", "work", 20), ("gc", "gc", 40), ("python3", "load", 80)],
    )
    found = compare(old, new, "thread", METRICS["total"])
    rows = zip(*(metric.tolist() for metric in (*found.values, *found.members)))
    # load, gc, pool_7 for pool_1, pool_0, watch
    assert list(rows) == [(0, 80, 0, 1), (4, 40, 1, 1), (2, 20, 1, 1), (1, 10, 1, 1), (8, 0, 1, 0)]
    (process,) = compare(old, new, "process", METRICS["total"]).change.tolist()
    assert process == 150 - 15


def test_processes_by_command(tmp_path: Path) -> None:
    profiles = []
    for side, (root, sizes) in enumerate((("/a", (1, 2, 4)), ("/b", (10, 20, 40, 80)))):
        build = Builder()
        commands = [["sh", "run.sh"], ["work", f"{root}/x", "1"], ["work", f"{root}/x", "2"]]
        commands = [["./v1" if side == 0 else "./v2"], *commands[1:], ["env", "python3"]]
        changes = {}
        for number, (command, size) in enumerate(zip(commands, sizes)):
            process = build.process(10 + number, command[0], command)
            thread = build.thread(process, 10 + number)
            stack = build.stack(build.python("f", "/f.py", 1))
            changes[build.context(process, stack, thread=thread)] = Change(1, size)
        build.slice(0, SECOND, changes)
        build.finish(SECOND)
        profiles.append(Profile(Recording.open(build.write(tmp_path / str(side)))))
    found = compare(profiles[0], profiles[1], "process", METRICS["total"])
    rows = zip(*(metric.tolist() for metric in (*found.values, *found.members)))
    assert list(rows) == [(0, 80, 0, 1), (6, 60, 2, 2), (1, 10, 1, 1)]


def test_the_difference_of_summaries(tmp_path: Path) -> None:
    old, new = scaled(tmp_path, "a", 3, [30]), scaled(tmp_path, "b", 9, [90, 5])
    before, after = asdict(summarize(old)), asdict(summarize(new))
    found = summary_change(before, after)
    assert (found["total_bytes"], found["allocations"], found["duration_seconds"]) == (65, 1, 6.0)
    after["temporary_allocations"] = None
    assert summary_change(before, after)["temporary_allocations"] is None
