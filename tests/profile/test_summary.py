"""The figures of the guide's summary."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tests.recording.make import SECOND, Builder, Change, example

from heaptide.errors import UsageError
from heaptide.profile import Profile, Selection, Summary, rows_of_pid, summarize, timeline_of
from heaptide.recording import Recording

EXAMPLE = Summary(
    duration_seconds=3.0,
    allocations=30,
    deallocations=24,
    reallocations=3,
    total_bytes=3300,
    copied_bytes=100,
    peak_bytes=2000,
    peak_blocks=20,
    peak_time_seconds=1.5,
    peak_rss_bytes=50 << 20,
    alive_at_exit_bytes=600,
    alive_at_exit_allocations=6,
    temporary_allocations=5,
    short_lived_allocations=8,
    processes=1,
    threads=2,
)


def test_whole_and_only_process_agree(tmp_path: Path) -> None:
    recording = Recording.open(example().write(tmp_path / "a.tide"))
    assert summarize(Profile(recording)) == EXAMPLE
    assert summarize(Profile(recording, rows_of_pid(recording, 4711))) == EXAMPLE


def test_shares_are_of_all_calls() -> None:
    assert EXAMPLE.calls == 33
    assert EXAMPLE.calls_per_second == 11.0
    assert EXAMPLE.temporary_share == 5 / 33
    assert EXAMPLE.short_lived_share == 8 / 33


def test_nothing_recorded_divides_nothing() -> None:
    empty = replace(EXAMPLE, allocations=0, reallocations=0, duration_seconds=0.0)
    assert (
        empty.temporary_share,
        empty.short_lived_share,
        empty.calls_per_second,
    ) == (0.0, 0.0, 0.0)


def test_one_process_of_several(tmp_path: Path) -> None:
    """Two images of one pid: their figures add up, their peaks do not."""
    build = Builder()
    build.process(10, end=9 * SECOND, peak_bytes=7, peak_rss=70)
    first = build.process(11, start=2 * SECOND, end=4 * SECOND, peak_bytes=40, peak_time=3 * SECOND)
    second = build.process(11, image=1, start=4 * SECOND, peak_bytes=5, peak_rss=99)
    for process in (0, first, second):
        build.thread(process, 10 if process == 0 else 11)
    stack = build.stack(build.python("f", "/a.py", 1))
    a, b, c = (build.context(p, stack, thread=p) for p in (0, first, second))
    build.slice(
        0, 9 * SECOND, {a: Change(1, 7), b: Change(4, 40, 4, 40), c: Change(3, 9, 2, 4, 1, 2, 1, 1)}
    )
    build.peak({a: (1, 7), b: (4, 40)})
    build.peak({b: (4, 40)}, first)
    build.peak({c: (1, 5)}, second)
    build.timeline(3 * SECOND, first, live_bytes=40)
    build.timeline(SECOND, live_bytes=7)
    build.timeline(5 * SECOND, second, live_bytes=5)
    build.finish(9 * SECOND)
    recording = Recording.open(build.write(tmp_path / "a.tide"))
    profile = Profile(recording, rows_of_pid(recording, 11))
    expected = Summary(
        duration_seconds=7.0,
        allocations=6,
        deallocations=5,
        reallocations=1,
        total_bytes=49,
        copied_bytes=2,
        peak_bytes=40,
        peak_blocks=4,
        peak_time_seconds=3.0,
        peak_rss_bytes=99,
        alive_at_exit_bytes=5,
        alive_at_exit_allocations=1,
        temporary_allocations=1,
        short_lived_allocations=1,
        processes=1,
        threads=1,
    )
    assert expected == summarize(profile)
    assert timeline_of(profile).time.tolist() == [3 * SECOND, 5 * SECOND]
    assert timeline_of(Profile(recording)).time.tolist() == [SECOND]


def test_a_thread_that_calls_exec_is_one(tmp_path: Path) -> None:
    """`env ls`, run twice under one pid by a shell, and a worker's exec out of a second thread."""
    build = Builder()
    shell = build.process(10)
    images = [build.process(11, image=image) for image in (0, 1, 0, 1, 2)]
    worker = build.process(12)
    became = build.process(12, image=1)
    unseen = build.process(13, image=1)  # what its first image did was not recorded
    for process, tid in [
        (shell, 10),
        *((image, 11) for image in images),
        (worker, 12),
        (worker, 121),
        (became, 12),
        (became, 122),
        (unseen, 13),
    ]:
        build.thread(process, tid)
    build.finish(SECOND)
    recording = Recording.open(build.write(tmp_path / "a.tide"))
    assert recording.summary.threads == 1 + 2 + 3 + 1
    assert [recording.threads_of(rows_of_pid(recording, pid)) for pid in (10, 11, 12, 13)] == [
        1,
        2,
        3,
        1,
    ]
    assert recording.threads_of([became]) == 2


@pytest.fixture
def moving(tmp_path: Path) -> Recording:
    """3 blocks of f that g reallocates; 5 of `old` in second 1 that are freed in second 2; in
    second 3 g makes more than there ever was."""
    build = Builder()
    build.process(1)
    build.thread()
    f, g, old = (
        build.context(0, build.stack(build.python(name, "/a.py", line)))
        for line, name in enumerate(("f", "g", "old"), 1)
    )
    build.slice(
        0,
        SECOND,
        {f: Change(3, 300, 3, 300), g: Change(3, 600, 0, 0, 3, 300), old: Change(5, 5000)},
    )
    build.slice(SECOND, 2 * SECOND, {old: Change(0, 0, 5, 5000)})
    build.slice(2 * SECOND, 3 * SECOND, {g: Change(10, 100_000)})
    build.peak({g: (13, 100_600)})
    build.finish(3 * SECOND)
    return Recording.open(build.write(tmp_path / "a.tide"))


@pytest.mark.parametrize(
    ("start", "end", "freed"), [(0, 1, 0), (0, 2, 5), (1, 2, 5), (1, 3, 5), (2, 3, 0)]
)
def test_what_was_freed_in_a_range(moving: Recording, start: int, end: int, freed: int) -> None:
    """Also of stacks that did nothing else in it, and are no part of its peak."""
    selection = Selection(start=float(start), end=float(end))
    assert summarize(Profile(moving, selection)).deallocations == freed
    assert summarize(Profile(moving, replace(selection, processes=(0,)))).deallocations == freed


@pytest.mark.parametrize("function", ["f", "g", "old"])
def test_what_some_stacks_freed_is_not_known(moving: Recording, function: str) -> None:
    """A block that is reallocated leaves its stack, and is not freed."""
    assert summarize(Profile(moving)).deallocations == 5
    found = summarize(Profile(moving, Selection(functions=(function,))))
    assert found.deallocations is None


def test_an_unknown_process_is_refused_with_those_there_are(tmp_path: Path) -> None:
    recording = Recording.open(example().write(tmp_path / "a.tide"))
    with pytest.raises(UsageError, match="no process 5; it has 4711"):
        rows_of_pid(recording, 5)
