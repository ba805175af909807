"""Selections: the figures of a part are those that adding up the slices by hand gives."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.profile.random_recording import random_recording
from tests.recording.make import ALL, SECOND, Builder, Change, example

from heaptide.errors import UsageError
from heaptide.profile import (
    COLUMNS,
    FOLDS,
    METRICS,
    Profile,
    Selection,
    metric,
    size_class,
    size_words,
    stack_tree,
    summarize,
    timeline_of,
)
from heaptide.recording import SIZE_BOUNDS, Recording


@pytest.fixture
def recording(tmp_path: Path) -> Recording:
    return Recording.open(example().write(tmp_path / "a.tide"))


def totals(recording: Recording, **selected: Any) -> dict[str, int]:
    return dict(zip(COLUMNS, Profile(recording, Selection(**selected)).totals.tolist()))


def test_a_range_of_time(recording: Recording) -> None:
    """The second of three slices: the peak, at 1.5 s, is in it."""
    assert totals(recording, start=1.0, end=2.0) == {
        "peak_bytes": 2000,
        "peak_blocks": 20,
        "alive_at_exit_bytes": 1700,
        "alive_at_exit_allocations": 17,
        "total_bytes": 1800,
        "allocations": 15,
        "reallocations": 3,
        "copied_bytes": 100,
        "temporary_allocations": 1,
        "short_lived_allocations": 2,
    }


@pytest.mark.parametrize(
    ("start", "end", "slices", "peak", "when", "exact"),
    [
        (None, 1.0, (0, 1), 900, 1.0, False),
        (None, 1.01, (0, 2), 2000, 1.5, True),
        (0.2, 0.3, (0, 1), 900, 1.0, False),
        (2.0, 3.0, (2, 3), 1700, 2.0, False),  # at its start the heap was higher than ever after
        (2.5, None, (2, 3), 1700, 2.0, False),
        (0.0, 99.0, (0, 3), 2000, 1.5, True),
    ],
)
def test_a_range_is_the_slices_it_touches(
    recording: Recording,
    start: float | None,
    end: float | None,
    slices: tuple[int, int],
    peak: int,
    when: float,
    exact: bool,
) -> None:
    profile = Profile(recording, Selection(start=start, end=end))
    assert profile.time is not None
    assert (profile.time.first, profile.time.stop) == slices
    assert profile.time.start == slices[0] * SECOND
    assert profile.time.end == slices[1] * SECOND
    assert profile.range_peak is not None
    summary = summarize(profile)
    assert (summary.peak_bytes, summary.peak_time_seconds) == (peak, when)
    assert profile.range_peak.exact is exact
    assert summary.duration_seconds == slices[1] - slices[0]


def test_a_moment_is_named_by_the_slice_that_it_is_in(recording: Recording) -> None:
    alive = METRICS["alive"]
    at = Profile(recording, Selection(end=1.5))
    assert (at.worded(alive).words, at.total_of(alive)) == ("live at 2 s", 1700)
    assert Profile(recording, Selection(start=1.5)).worded(alive).words == "alive at exit"
    assert at.worded(METRICS["peak"]) == METRICS["peak"]
    assert at.worded(metric("live-blocks")).words == "blocks live at 2 s"


def test_what_lives_in_a_recording_that_goes_on(tmp_path: Path) -> None:
    build = example()
    build.end = None
    profile = Profile(Recording.open(build.write(tmp_path / "a.tide", finished=False)))
    assert profile.worded(metric("live")).words == "live as of the last checkpoint"
    assert profile.total_of(metric("live")) == 600


@given(st.integers(0, 10**9), st.integers(0, 4000), st.integers(1, 4000))
@settings(deadline=None, max_examples=80)
def test_any_range_of_any_recording(seed: int, start: int, length: int) -> None:
    """Against sums over the slices, one by one; and folds and trees have all of them."""
    with tempfile.TemporaryDirectory() as directory:
        recording = random_recording(seed, Path(directory) / "a.tide")
        count = len(recording.slices)
        chosen = Selection(start=start / 1000, end=(start + length) / 1000)
        profile = Profile(recording, chosen)
        if start >= count * 1000 and count:
            with pytest.raises(UsageError, match="begin earlier"):
                profile.figures  # noqa: B018 - computed when first asked for
            return
        counted = recording.contexts.counted
        expected = np.zeros((len(counted), len(COLUMNS)), np.int64)
        live = np.zeros((len(counted), 2), np.int64)
        best, heights = live.copy(), [0]
        for index in range(count):
            rows = recording.totals_between(index, index + 1)
            inside = index * 1000 < start + length and (index + 1) * 1000 > start
            if index * 1000 >= start + length:
                break
            live[:, 0] += rows.bytes_in - rows.bytes_out
            live[:, 1] += rows.blocks_in - rows.blocks_out
            if inside:
                for column, figures in enumerate(
                    (
                        rows.bytes_in,
                        rows.allocations,
                        rows.reallocations,
                        rows.copied_bytes,
                        rows.temporary,
                        rows.short_lived,
                    ),
                    4,
                ):
                    expected[:, column] += figures
            if (index + 1) * 1000 >= start - start % 1000:
                heights.append(int(live[counted, 0].sum()))
                if start < 1000 and heights[-1] > max(heights[:-1]):
                    best = live.copy()
        expected[:, 2:4] = live
        expected[~counted] = 0
        assert profile.figures[:, 2:].tolist() == expected[:, 2:].tolist()
        assert profile.range_peak is not None
        if start < 1000 and not profile.range_peak.exact:
            assert profile.figures[:, 0].tolist() == (best[:, 0] * counted).tolist()
        for by in FOLDS:
            sums = profile.fold(by, METRICS["alive"]).figures.sum(axis=0)
            assert sums.tolist() == profile.totals.tolist()
        assert stack_tree(profile).inclusive[0].tolist() == profile.totals.tolist()
        summary = summarize(profile)
        assert summary.alive_at_exit_bytes == profile.totals[2]
        assert summary.deallocations is not None and summary.deallocations >= 0


@given(st.integers(0, 10**9), st.integers(1, 3))
@settings(deadline=None, max_examples=40)
def test_ranges_that_follow_one_another_add_up(seed: int, cut: int) -> None:
    with tempfile.TemporaryDirectory() as directory:
        recording = random_recording(seed, Path(directory) / "a.tide")
        if cut >= len(recording.slices):
            return
        whole = Profile(recording)
        early = Profile(recording, Selection(end=float(cut)))
        late = Profile(recording, Selection(start=float(cut)))
        assert (early.figures + late.figures)[:, 4:].tolist() == whole.figures[:, 4:].tolist()
        assert late.figures[:, 2:4].tolist() == whole.figures[:, 2:4].tolist()
        parts = [summarize(part).deallocations or 0 for part in (early, late)]
        assert sum(parts) == summarize(whole).deallocations


def test_what_a_process_left_behind_is_not_live_after_its_end(tmp_path: Path) -> None:
    """It was never freed, and is alive at that process's exit; the others' heap has it no more."""
    build = Builder()
    build.process(10, end=4 * SECOND)
    build.process(11, end=SECOND)
    stack = build.stack(build.python("f", "/a.py", 1))
    contexts = [build.context(process, stack, thread=process) for process in (0, 1)]
    for process in (0, 1):
        build.thread(process, 10 + process)
    build.slice(0, SECOND, {contexts[0]: Change(1, 10), contexts[1]: Change(1, 7)})
    for second in (1, 2, 3):
        build.slice(second * SECOND, (second + 1) * SECOND, {contexts[0]: Change(1, 1)})
    build.finish(4 * SECOND)
    recording = Recording.open(build.write(tmp_path / "a.tide"))
    found = {
        end: Profile(recording, Selection(end=end)).total_of(METRICS["alive"])
        for end in (1.0, 2.0, 3.0, None)
    }
    assert found == {1.0: 17, 2.0: 11, 3.0: 12, None: 20}
    late = Profile(recording, Selection(start=2.0, end=4.0))
    assert late.total_of(METRICS["peak"]) == 13
    assert Profile(recording).live_at(2.0)[0].sum() == 11


def test_threads(recording: Recording) -> None:
    for pattern in ("worker", "work", "/^w.*r$/", "4712"):
        assert totals(recording, threads=(pattern,))["total_bytes"] == 1000
    assert totals(recording, threads=("worker", "Main"))["total_bytes"] == 3300
    summary = summarize(Profile(recording, Selection(threads=("worker",))))
    assert (summary.threads, summary.deallocations, summary.peak_bytes) == (1, None, 800)


def test_code_in_the_stack(recording: Recording) -> None:
    assert totals(recording, functions=("load",))["total_bytes"] == 3300
    assert totals(recording, functions=("grow",))["total_bytes"] == 1000
    assert totals(recording, functions=("/^work::/", "push_back"))["total_bytes"] == 1000
    assert totals(recording, without_functions=("push_back",))["total_bytes"] == 2300
    assert totals(recording, modules=("libwork",))["total_bytes"] == 1000
    assert totals(recording, modules=("app",), without_modules=("libwork",))["total_bytes"] == 2300
    assert totals(recording, without_functions=("nothing like it",))["total_bytes"] == 3300


def test_what_no_stack_has_is_found_by_its_name(tmp_path: Path) -> None:
    from heaptide.recording import ContextKind, SpecialFrame

    build = Builder()
    build.process()
    build.thread()
    none = build.stack(build.special(SpecialFrame.NO_STACK))
    contexts = [
        build.context(stack=none, kind=kind) for kind in (ContextKind.MALLOC, ContextKind.PY_OBJECT)
    ]
    build.slice(0, SECOND, {c: Change(1, 1 << c) for c in contexts})
    build.finish(SECOND)
    recording = Recording.open(build.write(tmp_path / "a.tide"))
    assert totals(recording, functions=("interpreter itself",))["total_bytes"] == 2
    assert totals(recording, functions=("no stack",))["total_bytes"] == 1
    assert totals(recording, without_functions=("no stack",))["total_bytes"] == 2


def test_sizes(recording: Recording) -> None:
    """Calls of a size are exact; all else is what the stacks that made them did."""
    found = totals(recording, sizes=(3, 3))
    assert (found["allocations"], found["reallocations"], found["total_bytes"]) == (33, 0, 3300)
    assert set(totals(recording, sizes=(0, 2)).values()) == {0}


def test_a_size_class_is_the_format_s() -> None:
    assert [size_class(size) for size in (0, 16, 17, 1048576, 1048577)] == [0, 0, 1, 10, 11]
    assert size_words(0, 0) == "0 to 16 bytes"
    assert size_words(1, 3) == "17 to 128 bytes"
    assert size_words(len(SIZE_BOUNDS), len(SIZE_BOUNDS)) == "1,048,577 bytes and more"


def test_the_heap_of_a_part_over_time(recording: Recording) -> None:
    timeline = timeline_of(Profile(recording, Selection(threads=("worker",))))
    assert timeline.time.tolist() == [SECOND, 2 * SECOND, 3 * SECOND]
    assert timeline.live_bytes.tolist() == [0, 700, 300]
    assert timeline.live_blocks.tolist() == [0, 7, 3]
    assert timeline.peak_bytes.tolist() == [0, 700, 700]
    assert set(timeline.process.tolist()) == {-1}
    ranged = timeline_of(Profile(recording, Selection(start=1.0, end=2.0)))
    assert ranged.time.tolist() == [SECOND, 2 * SECOND]
    assert ranged.rss.tolist() == [40 << 20] * 2


@pytest.mark.parametrize(
    ("selected", "part"),
    [
        ({"threads": ("nobody",)}, "no thread in .*a.tide fits 'nobody'"),
        ({"functions": ("nothing",)}, "no function in .* --by function --top 0"),
        ({"modules": ("nothing",)}, "no module in .* --by module --top 0"),
        ({"functions": ("/(/",)}, "is no regular expression"),
        ({"functions": ("",)}, "empty pattern"),
        ({"start": 2.0, "end": 1.0}, "give a later end"),
        ({"end": 0.0}, "give a later end"),
        ({"start": 3.0}, "begin earlier"),
        ({"end": 1.0, "sizes": (0, 0)}, "not both"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    recording: Recording, selected: dict[str, Any], part: str
) -> None:
    with pytest.raises(UsageError, match=part):
        totals(recording, **selected)


def test_processes_are_rows_as_before(recording: Recording) -> None:
    assert Profile(recording, [0]).selection == Selection(processes=(0,))
    assert Profile(recording).selection == Selection()


def test_a_timeline_of_a_part_knows_who_has_ended(tmp_path: Path) -> None:
    build = example()
    build.timeline(4 * SECOND, ALL)
    recording = Recording.open(build.write(tmp_path / "a.tide"))
    assert len(timeline_of(Profile(recording))) == 4


def test_a_function_as_it_is_shown_where_room_is_short(tmp_path: Path) -> None:
    build = Builder()
    build.process()
    build.thread()
    names = ("f.<locals>.<listcomp>", "f.<locals>.g", "f")
    for number, name in enumerate(names):
        build.context(stack=build.stack(build.python(name, "/a.py", number + 1)))
    build.slice(0, SECOND, {number: Change(1, 10**number) for number in range(3)})
    build.finish(SECOND)
    recording = Recording.open(build.write(tmp_path / "a.tide"))
    for pattern in ("f.<listcomp>", "f.<locals>.<listcomp>", "<listcomp>", r"/^f\.<list/"):
        assert totals(recording, functions=(pattern,))["total_bytes"] == 1
    assert totals(recording, without_functions=("f.<listcomp>",))["total_bytes"] == 110
    assert totals(recording, functions=("f",))["total_bytes"] == 111


def test_threads_and_code_of_modules_by_the_names_that_tables_have(tmp_path: Path) -> None:
    """What is shown can be given: ``runs work`` for a thread, ``import app.cache`` for a module."""
    build = Builder()
    build.process(end=SECOND)
    threads = [build.thread(0, 100, ""), build.thread(0, 101, "")]
    start = build.python("main", "/app/main.py", 1)
    work = build.python("work", "/app/main.py", 9)
    module = build.python("<module>", "/app/cache.py", 2)
    first = build.context(stack=build.stack(start, module), thread=threads[0])
    second = build.context(stack=build.stack(work), thread=threads[1])
    build.slice(0, SECOND, {first: Change(1, 10), second: Change(1, 200)})
    build.finish(SECOND)
    with Recording.open(build.write(tmp_path / "a.tide")) as recording:

        def total(**how: tuple[str, ...]) -> int:
            return int(Profile(recording, Selection(**how)).totals[COLUMNS.index("total_bytes")])  # type: ignore[arg-type]

        assert total(threads=("runs work",)) == 200
        assert total(threads=("101",)) == 200
        names = Profile(recording).module_code.values()
        assert total(functions=(next(iter(names)),)) == 10
