"""What came in a range of time and stayed."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tests.recording.make import SECOND, Builder, Change
from tests.support import recorded

from heaptide.errors import UsageError
from heaptide.profile import LIVE, Profile, Selection, metric_of
from heaptide.profile.survivors import kept, kept_span
from heaptide.recording import Recording

_PROGRAM = """
import time
table, kept = [bytearray(200_000)], []
def leak():
    kept.append(bytearray(10_000))
def pass_by():
    return bytearray(50_000)
start = time.perf_counter()
for number in range(120):
    leak()
    pass_by()
    while time.perf_counter() < start + number * 0.01:
        time.sleep(0.001)
"""


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("kept")
    return recorded.record(directory, [sys.executable, "-c", _PROGRAM]).path


def functions(profile: Profile, words: str) -> dict[str, int]:
    fold = profile.fold("function", metric_of(profile.recording, words))
    at = profile.locations
    return {
        at.texts[at.function[row]]: int(value)
        for row, value in zip(fold.location, fold.values)
        if value
    }


def test_what_came_and_stayed_is_not_what_was_there(path: Path) -> None:
    with Recording.open(path) as recording:
        profile = Profile(recording, Selection(start=0.4, end=1.0))
        span = kept_span(profile)
        assert span is not None
        found = functions(profile, "kept")
        blocks = found["leak"] // 10_000
        assert blocks == pytest.approx((span.end - span.start) / 1e7, abs=4)
        assert found["leak"] > 0.8 * sum(found.values())
        assert "pass_by" not in found
        alive = functions(profile, LIVE.name)
        assert alive["leak"] > found["leak"]


def test_of_all_the_time_it_is_all_that_lives(path: Path) -> None:
    """At each moment that ages are known of, to the byte and in each context."""
    with Recording.open(path) as recording:
        moments = recording.births.times
        assert len(moments) > 5
        for end in moments.tolist():
            profile = Profile(recording, Selection(end=end / 1e9))
            span = kept_span(profile)
            assert span is not None and (span.start, span.end) == (0, end)
            live = recording.live_at(end)
            counted = recording.contexts.counted
            found = kept(profile)
            assert np.array_equal(found[:, 0], live.bytes * counted)
            assert np.array_equal(found[:, 1], live.blocks * counted)


def test_parts_add_up(path: Path) -> None:
    """What came before a moment and what came from it on are, together, all that lives."""
    with Recording.open(path) as recording:
        moments = recording.births.times
        middle, end = int(moments[len(moments) // 2]), int(moments[-2])
        births = recording.births
        count = len(recording.contexts)
        at = len(moments) // 2
        early = births.survivors(count, 0, at)
        assert early.bytes.sum() > 0
        late = kept(Profile(recording, Selection(start=middle / 1e9, end=end / 1e9)))
        whole = kept(Profile(recording, Selection(end=end / 1e9)))
        assert (late <= whole).all()
        stayed = whole - late
        assert (stayed[:, 0] <= np.maximum(early.bytes, 0)).all()


def test_without_a_range_it_is_what_came_after_warm_up(path: Path) -> None:
    with Recording.open(path) as recording:
        span = kept_span(Profile(recording))
        length = recording.summary.duration_ns
        assert span is not None
        assert 0.1 * length < span.start < 0.3 * length
        assert 0.85 * length < span.end <= length
        assert next(iter(functions(Profile(recording), "kept"))) == "leak"


def test_selections_narrow_it(path: Path) -> None:
    with Recording.open(path) as recording:
        profile = Profile(recording, Selection(functions=("leak",)))
        assert set(functions(profile, "kept")) == {"leak"}


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: without_ages(SECOND, 8), "the ages of blocks were not recorded"),
        (lambda: without_ages(SECOND // 100, 8), "it ended before the ages of blocks were counted"),
        (lambda: without_ages(SECOND, 0), "no allocation was recorded$"),
    ],
)
def test_a_recording_without_ages(tmp_path: Path, make: Callable[[], Builder], reason: str) -> None:
    with Recording.open(make().write(tmp_path / "a.tide")) as recording:
        assert not len(recording.births)
        with pytest.raises(UsageError, match=reason):
            Profile(recording).fold("line", metric_of(recording, "kept"))


def without_ages(end: int, size: int) -> Builder:
    build = Builder()
    build.process()
    build.thread()
    if size:
        context = build.context(stack=build.stack(build.python("f", "/a.py", 1)))
        build.slice(0, end, {context: Change(1, size)})
    build.finish(end)
    return build
