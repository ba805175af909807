"""What lived over time, in a comparison."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.profile.random_recording import random_recording

from heaptide.profile import Profile
from heaptide.views.page import build, html
from heaptide.views.page.bins import changes_of
from heaptide.views.page.blob import decode
from heaptide.views.page.lives import lives_of


def alive(columns: dict[str, Any], prefix: str) -> list[tuple[int, int]]:
    """When each span ends, and the bytes that live then."""
    span = np.repeat(np.arange(len(columns[f"{prefix}lives.end"])), columns[f"{prefix}lives.rows"])
    sums = np.zeros(len(columns[f"{prefix}lives.end"]), np.int64)
    np.add.at(sums, span, columns[f"{prefix}lives.bytes"].astype(np.int64))
    return list(zip(columns[f"{prefix}lives.end"].tolist(), np.cumsum(sums).tolist()))


def expected(profile: Profile) -> dict[int, int]:
    """The same after each slice, context by context."""
    recording = profile.recording
    used = np.flatnonzero(profile.figures.any(axis=1)).tolist()
    process = recording.contexts.process
    ended = recording.processes.end.tolist()
    live = [0] * len(recording.contexts)
    found = {}
    for i in range(len(recording.slices)):
        rows = recording.deltas(i, i + 1)
        for context, came, went in zip(
            rows.context.tolist(), rows.bytes_in.tolist(), rows.bytes_out.tolist()
        ):
            live[context] += came - went
        start, end = int(recording.slices.start[i]), int(recording.slices.end[i])
        for context in range(len(live)):
            if 0 < ended[process[context]] <= start:
                live[context] = 0
        found[end] = sum(live[context] for context in used)
    return found


@given(st.integers(0, 10**9), st.integers(0, 10**9))
@settings(max_examples=25, deadline=None)
def test_both_recordings_are_alive_as_they_were(new: int, old: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        recordings = [
            random_recording(s, Path(folder) / f"{i}.tide") for i, s in enumerate((new, old))
        ]
        profiles = [Profile(recording) for recording in recordings]
        for most in (html.overhead() + 20_000_000, html.overhead()):  # the least that can be
            _, columns, _ = decode(build(*profiles, most=most).data)
            for prefix, profile in zip(("", "base."), profiles):
                right = expected(profile)
                shown = alive(columns, prefix)
                assert bool(shown) == bool(right)
                for end, live in shown:
                    assert right[end] == live
                samples = len(columns["sample.node"])
                assert columns[f"{prefix}lives.sample"].max(initial=-1) < samples
        for recording in recordings:
            recording.close()


def test_a_page_of_one_recording_has_none(tmp_path: Path) -> None:
    recording = random_recording(1, tmp_path / "a.tide")
    columns = decode(build(Profile(recording)).data)[1]
    assert not [name for name in columns if "lives" in name]
    recording.close()


def test_what_an_ended_process_held_lives_no_more(tmp_path: Path) -> None:
    recording = random_recording(3, tmp_path / "a.tide")
    contexts = len(recording.contexts)
    changes = changes_of(recording, np.arange(contexts, dtype=np.int32), 240)
    nobody = np.zeros(contexts, np.int64)
    stays = lives_of(changes, nobody, np.array([0]))
    ends = int(changes.start[len(changes) // 2])
    leaves = lives_of(changes, nobody, np.array([ends]))
    assert stays.bytes.sum() != 0 == leaves.bytes.sum()
    assert leaves.span.max() == len(changes) // 2
    recording.close()
