"""Snapshots and histograms: what the heap was made of, at the right moments."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.profile.random_recording import random_recording
from tests.recording.make import SECOND, Builder, Change, example

import heaptide.profile
from heaptide.profile import (
    Profile,
    Selection,
    Snapshot,
    age_histogram,
    is_estimate,
    lifetime_histogram,
    size_histogram,
    snapshots,
    summarize,
)
from heaptide.recording import Recording


@pytest.fixture
def recording(tmp_path: Path) -> Recording:
    return Recording.open(example().write(tmp_path / "a.tide"))


def taken(profile: Profile, **how: Any) -> list[Snapshot]:
    return snapshots(profile, summarize(profile), **how)


def test_every_public_name_is_there() -> None:
    for name in heaptide.profile.__all__:
        assert getattr(heaptide.profile, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        heaptide.profile.nothing  # noqa: B018 - the lookup is the test


@given(st.integers(0, 10**9), st.integers(1, 6))
@settings(deadline=None, max_examples=50)
def test_sites_add_up_to_what_was_live(seed: int, count: int) -> None:
    """With room for all functions: at each moment they are the whole heap of that moment."""
    with tempfile.TemporaryDirectory() as directory:
        recording = random_recording(seed, Path(directory) / "a.tide")
        profile = Profile(recording)
        found = taken(profile, count=count, top=10**6)
        counted = recording.contexts.counted
        assert [s.time_ns for s in found] == sorted(s.time_ns for s in found)
        for snapshot in found:
            assert snapshot.sites is not None
            assert sum(size for _, size in snapshot.sites) == snapshot.live_bytes
            sizes = [size for _, size in snapshot.sites]
            assert sizes == sorted(sizes, reverse=True)
            if not snapshot.peak:
                live = recording.live_at(snapshot.time_ns).bytes[counted].sum()
                assert snapshot.live_bytes == live
        assert sum(s.peak for s in found) == int(profile.totals[0] > 0)
        moments = {s.time_ns for s in found if not s.peak}
        assert len(moments) == min(count, len(recording.slices))


def test_without_reading_the_slices(recording: Recording) -> None:
    """The peak and the end are told whole, others by the timeline."""
    profile = Profile(recording)
    whole, quick = taken(profile), taken(profile, slices=False)
    assert [(s.time_ns, s.live_bytes, s.rss_bytes) for s in quick] == [
        (s.time_ns, s.live_bytes, s.rss_bytes) for s in whole
    ]
    assert [s.sites is None for s in quick] == [True, False, True, False]
    assert quick[1] == whole[1]
    assert quick[3] == whole[3]


def test_a_part(recording: Recording) -> None:
    found = taken(Profile(recording, Selection(threads=("worker",), start=1.0)))
    assert [(s.time_ns // SECOND, s.live_bytes, s.peak) for s in found] == [
        (1, 800, True),
        (2, 700, False),
        (3, 300, False),
    ]


def test_what_has_ended_is_not_resident(tmp_path: Path) -> None:
    build = Builder()
    for pid, end in ((10, 2 * SECOND), (11, SECOND)):
        process = build.process(pid, end=end, peak_bytes=5)
        build.thread(process, pid)
        context = build.context(process, build.stack(build.python("f", "/a.py", 1)), thread=process)
        build.timeline(SECOND, process, live_bytes=5, rss=100 + pid)
        if not process:
            build.slice(0, SECOND, {context: Change(1, 5)})
    build.slice(SECOND, 2 * SECOND, {})
    build.timeline(2 * SECOND, 0, live_bytes=5)
    build.finish(2 * SECOND)
    recording = Recording.open(build.write(tmp_path / "a.tide"))
    found = taken(Profile(recording, [0, 1]), count=2)
    assert [s.rss_bytes for s in found if not s.peak] == [221, 110]


def test_histograms(recording: Recording) -> None:
    whole, part = Profile(recording), Profile(recording, Selection(threads=("worker",)))
    assert (size_histogram(whole).total, size_histogram(part).total) == (33, 10)
    assert size_histogram(whole).counts[3] == 33
    assert lifetime_histogram(part).counts.tolist() == [4, *[0] * 7]
    ages = age_histogram(whole)
    assert ages is not None
    assert ages.counts.tolist() == [5, 5, 6, 4, 4, 0, 0, 0]
    for histogram in (size_histogram(whole), lifetime_histogram(whole), ages):
        assert len(histogram.counts) == len(histogram.bounds) + 1


def test_samples_have_no_age_in_allocations(tmp_path: Path) -> None:
    build = example()
    build.meta["config"]["sample_interval"] = 524288
    assert age_histogram(Profile(Recording.open(build.write(tmp_path / "a.tide")))) is None


def test_arenas_are_in_no_histogram(tmp_path: Path) -> None:
    build = example()
    build.sizes(2, [7] * 12)  # the context of an arena
    histogram = size_histogram(Profile(Recording.open(build.write(tmp_path / "a.tide"))))
    assert histogram.total == 33
    assert np.flatnonzero(histogram.counts).tolist() == [3]


def test_moments_of_a_process_are_of_its_life(tmp_path: Path) -> None:
    """One that began late and ended early has none before and behind."""
    build = Builder()
    build.process(10, end=100 * SECOND)
    build.process(11, start=40 * SECOND, end=60 * SECOND)
    build.process(12, start=80 * SECOND)
    stack = build.stack(build.python("f", "/a.py", 1))
    contexts = []
    for row in range(3):
        build.thread(row, 10 + row)
        contexts.append(build.context(row, stack, thread=row))
    for second in range(100):
        changes = {contexts[0]: Change(1, 1)}
        for row, start, end in ((1, 40, 60), (2, 80, 100)):
            if start <= second < end:
                changes[contexts[row]] = Change(1, 10)
        build.slice(second * SECOND, (second + 1) * SECOND, changes)
    build.finish(100 * SECOND)
    recording = Recording.open(build.write(tmp_path / "a.tide"))
    for slices in (True, False):
        times = [
            [one.time_ns // SECOND for one in found if not one.peak]
            for found in (taken(Profile(recording, (row,)), slices=slices) for row in range(3))
        ]
        assert times == [[25, 50, 75, 100], [45, 50, 55, 60], [85, 90, 95, 100]]
    middle = taken(Profile(recording, Selection(processes=(1,), start=50.0)))
    assert [one.time_ns // SECOND for one in middle if not one.peak] == [53, 55, 58, 60]


def test_nothing_changes_in_a_quiet_range(tmp_path: Path) -> None:
    """No slice is in it, and none beside it is taken for it."""
    build = Builder()
    build.process(end=60 * SECOND)
    build.thread()
    context = build.context(stack=build.stack(build.python("f", "/a.py", 1)))
    for second, change in ((10, Change(5, 500)), (50, Change(7, 70, 5, 500))):
        build.slice(second * SECOND, (second + 1) * SECOND, {context: change})
    build.finish(60 * SECOND)
    with Recording.open(build.write(tmp_path / "a.tide")) as recording:
        for start, end, live, peak in (
            (0.0, 9.0, 0, 0),
            (None, 10.0, 0, 0),
            (11.0, 50.0, 500, 500),
            (20.0, 30.0, 500, 500),
        ):
            found = summarize(Profile(recording, Selection(start=start, end=end)))
            assert (found.total_bytes, found.allocations, found.deallocations) == (0, 0, 0)
            assert (found.alive_at_exit_bytes, found.peak_bytes) == (live, peak)
            assert (start or 0.0) <= found.peak_time_seconds <= (end or 0.0)
            assert found.duration_seconds == (end or 0.0) - (start or 0.0)
        touched = summarize(Profile(recording, Selection(start=20.0, end=50.5)))
        assert (touched.allocations, touched.alive_at_exit_bytes) == (7, 70)


@pytest.mark.parametrize(
    ("start", "end", "peak", "when"),
    [
        (1.0, 2.0, 905, 1.51),  # between the ends of slices
        (1.5, 2.5, 9, 2.01),
        (2.0, 3.0, 5, 2.0),  # its first row tells of what was before the range
        (0.0, 1.0, 5, 0.5),
        (2.5, 4.0, 305, 4.0),  # its last row ends behind the range, but is mostly of it
    ],
)
def test_a_range_tells_how_high_it_rose(
    tmp_path: Path, start: float, end: float, peak: int, when: float
) -> None:
    """Also where no slice ended, and what the heap consisted of then is not kept."""
    build = Builder()
    build.process(end=9 * SECOND, peak_bytes=2000, peak_time=8 * SECOND)
    build.thread()
    context = build.context(stack=build.stack(build.python("f", "/a.py", 1)))
    for half in range(18):
        change = Change(1, 5) if half == 0 else Change(9, 900, 9, 900)
        build.slice(half * SECOND // 2, (half + 1) * SECOND // 2, {context: change})
    for hundredths, highest in ((49, 5), (99, 5), (151, 905), (201, 9), (301, 5), (401, 305)):
        build.timeline(hundredths * SECOND // 100, live_bytes=5, peak_bytes=highest)
    build.peak({context: (1, 2000)})
    build.finish(9 * SECOND)
    with Recording.open(build.write(tmp_path / "a.tide")) as recording:
        profile = Profile(recording, Selection(start=start, end=end))
        found = summarize(profile)
        assert (found.peak_bytes, found.peak_time_seconds) == (peak, when)
        assert profile.composed_ns is not None
        assert int(profile.totals[0]) == 5


def test_histograms_of_a_range_are_exact(tmp_path: Path) -> None:
    """By thread, and so by process; what is chosen by its stack is estimated."""
    build = Builder()
    for pid in (10, 11):
        process = build.process(pid, end=2 * SECOND)
        thread = build.thread(process, pid)
        stack = build.stack(build.python(f"f{pid}", "/a.py", 1))
        context = build.context(process, stack, thread=thread)
        build.sizes(context, [90, 10])
        build.lifetimes(context, [10] * 8, [10] * 8)
    for second in range(2):
        changes = {0: Change(50, 500, 40, 400), 1: Change(50, 500, 40, 400)}
        number = build.slice(second * SECOND, (second + 1) * SECOND, changes)
        size, age, time = 16 + second, second, 8 + second
        build.spread(
            number, {(row, bucket): 40 + row for row in (0, 1) for bucket in (age, time, size)}
        )
    build.finish(2 * SECOND)
    with Recording.open(build.write(tmp_path / "a.tide")) as recording:
        late = Profile(recording, Selection(start=1.0))
        assert not is_estimate(late) and not is_estimate(Profile(recording))
        ages = age_histogram(late)
        assert ages is not None
        for histogram in (size_histogram(late), lifetime_histogram(late), ages):
            assert histogram.counts.tolist()[:3] == [0, 81, 0] and histogram.total == 81
        child = Profile(recording, Selection(start=1.0, processes=(1,)))
        assert size_histogram(child).counts.tolist()[:2] == [0, 41]
        assert size_histogram(Profile(recording)).counts.tolist()[:2] == [180, 20]
        one = Profile(recording, Selection(start=1.0, functions=("f10",)))
        assert is_estimate(one)
        assert size_histogram(one).counts.tolist()[:2] == [45, 5]


def test_histograms_of_a_range_go_by_what_each_stack_did_in_it(tmp_path: Path) -> None:
    """Two stacks of different sizes, one early and one late: their shares of a range are exact."""
    build = Builder()
    build.process(end=2 * SECOND)
    build.thread()
    early, late = (
        build.context(stack=build.stack(build.python(name, "/a.py", 1))) for name in ("a", "b")
    )
    build.slice(0, SECOND, {early: Change(10, 100, 4, 40)})
    build.slice(SECOND, 2 * SECOND, {early: Change(10, 100, 16, 160), late: Change(30, 30_000)})
    build.sizes(early, [20])
    build.sizes(late, [0] * 6 + [30])
    build.finish(2 * SECOND)
    with Recording.open(build.write(tmp_path / "a.tide")) as recording:
        for start, end, expected in (
            (None, 1.0, (10, 0)),
            (1.0, None, (10, 30)),
            (None, None, (20, 30)),
        ):
            counts = size_histogram(Profile(recording, Selection(start=start, end=end))).counts
            assert (counts[0], counts[6]) == expected
            assert counts.sum() == sum(expected)
