"""Recordings of more processes and threads than a page has room for, and of no time."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.profile.random_recording import random_recording
from tests.recording.make import SECOND, Builder, Change

from heaptide.profile import LEAKED, Profile
from heaptide.recording import Recording
from heaptide.views import page
from heaptide.views.page.blob import decode
from heaptide.views.page.gather import tables_of


@given(st.integers(0, 10**9), st.integers(1, 30))
@settings(max_examples=40, deadline=None)
def test_no_total_changes(seed: int, most: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        recording = random_recording(seed, Path(folder) / "a.tide")
        profile = Profile(recording)
        tables, together = tables_of(profile, bins=240, samples=most)
        whole, none = tables_of(profile, bins=240, samples=10**6)
        assert not none.said()
        assert tables.figures.sum(axis=0).tolist() == whole.figures.sum(axis=0).tolist()
        assert (
            whole.figures.sum(axis=0).tolist() == profile.figures_for(LEAKED).sum(axis=0).tolist()
        )
        assert tables.samples <= whole.samples
        assert bool(together.said()) <= (whole.samples > most)
        # Those that are left have what they had.
        count = len(recording.processes)
        for row in set(range(count)) - set(together.processes.tolist()):
            mine, its = tables.figures[tables.process == row], whole.figures[whole.process == row]
            assert mine.sum(axis=0).tolist() == its.sum(axis=0).tolist()
        recording.close()


def many(processes: int, threads: int) -> Builder:
    """Each with the same two stacks; the later ones with more."""
    build = Builder()
    changes = {}
    stacks = [build.stack(build.python(name, "/home/u/a.py", 1)) for name in "fg"]
    for process in range(processes):
        build.process(100 + process, end=SECOND, peak_bytes=process)
        for number in range(threads):
            thread = build.thread(process, 1000 + process * threads + number, end=SECOND)
            for stack in stacks:
                size = 10 * (process * threads + number + 1)
                changes[build.context(process, stack, thread=thread)] = Change(1, size)
    build.slice(0, SECOND, changes)
    build.finish(SECOND)
    return build


def test_the_heaviest_stay_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The others are one row of the processes, and their threads one of the threads."""
    monkeypatch.setattr(page, "_MOST_SAMPLES", 8)
    with Recording.open(many(10, 1).write(tmp_path / "a.tide")) as recording:
        made = page.build(Profile(recording))
    header, columns, _ = decode(made.data)
    assert made.folded == [
        "the 8 processes and 8 threads with the least memory are shown as one each"
    ]
    assert header["processes"][10] == {
        "pid": 0,
        "image": 0,
        "command": "[8 processes more]",
        "start_ns": 0,
        "end_ns": SECOND,
        "peak_bytes": 7,
    }
    assert header["threads"][10]["name"] == "[8 threads more]"
    assert set(columns["sample.process"].tolist()) == {8, 9, 10}
    assert set(columns["sample.thread"].tolist()) == {9, 10, 11}
    total = np.zeros(11, np.int64)
    np.add.at(
        total, columns["sample.process"][columns["change.sample"]], columns["change.bytes_in"]
    )
    assert total.tolist() == [0] * 8 + [180, 200, 720]


def test_threads_of_one_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "_MOST_SAMPLES", 8)
    with Recording.open(many(1, 10).write(tmp_path / "a.tide")) as recording:
        made = page.build(Profile(recording))
    header, columns, _ = decode(made.data)
    assert made.folded == ["the 8 threads with the least memory are shown as one"]
    assert len(header["processes"]) == 1 and len(header["threads"]) == 11
    assert set(columns["sample.thread"].tolist()) == {9, 10, 11}


def test_a_recording_that_lasts_no_time(tmp_path: Path) -> None:
    """Damaged, or cut in its first moment: there is no range of time to look for leaks in."""
    build = Builder()
    build.process()
    build.thread()
    context = build.context(0, build.stack(build.python("f", "/home/u/a.py", 1)))
    build.slice(0, 0, {context: Change(3, 30, 1, 10)})
    with Recording.open(build.write(tmp_path / "a.tide")) as recording:
        header, columns, _ = decode(page.build(Profile(recording)).data)
    assert columns["change.bytes_in"].tolist() == [30]
    assert header["summary"]["alive_at_exit_bytes"] == 20
