"""Recordings of more processes and threads than a page has room for, and of no time."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.profile.random_recording import random_recording
from tests.recording.make import SECOND, Builder, Change

from heaptide.profile import LEAKED, Profile, rows_of_pid
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
        assert tables.new.figures.sum(axis=0).tolist() == whole.new.figures.sum(axis=0).tolist()
        wanted = profile.figures_for(LEAKED).sum(axis=0)
        assert whole.new.figures.sum(axis=0).tolist() == wanted.tolist()
        assert tables.samples <= whole.samples
        assert bool(together.said()) <= (whole.samples > most)
        # Those that are left have what they had.
        count = len(recording.processes)
        for row in set(range(count)) - set(together.processes.tolist()):
            mine = tables.new.figures[tables.process == row]
            its = whole.new.figures[whole.process == row]
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


@pytest.mark.parametrize("most", [1_000_000, 2])
def test_a_page_of_one_process_holds_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    """Pages are passed on, and command lines may hold what is nobody's business."""
    monkeypatch.setattr(page, "_MOST_SAMPLES", most)
    build = many(0, 0)
    stack = build.stack(build.python("f", "/home/u/a.py", 1))
    changes = {}
    for number in range(3):
        for image in (0, 1):  # each calls exec
            words = ["tool", f"--token=secret{number}"]
            row = build.process(10 + number, "/bin/tool", words, image=image, start=number)
            for thread in range(2):
                name = f"of {number} {image} {thread}"
                tid = build.thread(row, 10 * row + thread, name)
                changes[build.context(row, stack, thread=tid)] = Change(1, 10 + row)
            build.mark(number, f"mark of {number}", row)
    build.slice(0, SECOND, changes)
    build.finish(SECOND)
    with Recording.open(build.write(tmp_path / "a.tide")) as recording:
        profile = Profile(recording, rows_of_pid(recording, 11))
        header, columns, texts = decode(page.build(profile).data)
        expected = profile.figures_for(LEAKED).sum(axis=0).tolist()
    shown = json.dumps([header, texts])
    assert "secret1" in shown and "mark of 1" in shown
    for part in ("secret0", "secret2", "of 0", "of 2"):
        assert part not in shown
    assert [one["pid"] for one in header["processes"][:2]] == [11, 11]
    owners = {(thread["process"], thread["like"]) for thread in header["threads"][:4]}
    assert owners == {(0, 0), (0, 1), (1, 2), (1, 3)}
    assert len(header["alike"]) == len(header["threads"])
    assert {one["process"] for one in header["marks"]} == {0, 1}
    assert header["forks"] == []
    assert columns["sample.process"].max() < len(header["processes"])
    assert columns["sample.thread"].max() <= len(header["threads"])
    total = np.zeros(len(header["processes"]), np.int64)
    np.add.at(
        total, columns["sample.process"][columns["change.sample"]], columns["change.bytes_in"]
    )
    assert total.sum() == expected[4]
    if most > 2:
        assert total.tolist() == [2 * 12, 2 * 13]
