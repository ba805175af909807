"""What lives over time in both recordings of a comparison, and what ends with a process."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.profile.random_recording import random_recording
from tests.recording.make import SECOND, Builder, Change

from heaptide.profile import Profile
from heaptide.profile.figures import alive_contexts
from heaptide.recording import Recording
from heaptide.views.page import build, html
from heaptide.views.page.blob import decode

CHANGES = (
    "bytes_in",
    "bytes_out",
    "blocks_in",
    "blocks_out",
    "reallocations",
    "copied_bytes",
    "temporary",
    "short_lived",
)


@contextmanager
def two(*seeds: int) -> Iterator[list[Profile]]:
    """Recordings of any shape, some of whose processes end."""
    with tempfile.TemporaryDirectory() as folder:
        profiles = []
        for number, seed in enumerate(seeds):
            recording = random_recording(seed, Path(folder) / f"{number}.tide")
            chance = random.Random(seed)
            ends = [chance.choice([0, 1, 2 * SECOND]) for _ in recording.processes.pid]
            processes = replace(recording.processes, end=np.array(ends, np.int64))
            vars(recording)["processes"] = processes
            profiles.append(Profile(recording))
        yield profiles
        for profile in profiles:
            profile.recording.close()


def alive(columns: dict[str, Any], prefix: str, what: str = "bytes") -> dict[int, int]:
    """By the ends of bins the bytes, or blocks, that live then."""
    change = columns[f"{prefix}change.{what}_in"] - columns[f"{prefix}change.{what}_out"]
    live = until(change, columns[f"{prefix}bin.changes"])
    live = live - until(columns[f"{prefix}exit.{what}"], columns[f"{prefix}exit.rows"])
    return dict(zip(columns[f"{prefix}bin.end"].tolist(), live.tolist()))


def until(values: Any, rows: Any) -> Any:
    """The sum of all ``values`` up to the end of each bin, which has so many rows."""
    return np.append(0, np.cumsum(values))[np.cumsum(rows)]


def expected(profile: Profile, what: str) -> dict[int, int]:
    """The same after each slice."""
    recording = profile.recording
    used = profile.figures.any(axis=1)
    found = {}
    for stop in range(1, len(recording.slices) + 1):
        live = getattr(recording.totals_between(0, stop), f"live_{what}")
        end = int(recording.slices.end[stop - 1])
        found[end] = int(live[used & alive_contexts(recording, stop)].sum())
    return found


@given(st.integers(0, 10**9), st.integers(0, 10**9))
@settings(max_examples=40, deadline=None)
def test_both_recordings_live_and_change_as_they_did(new: int, old: int) -> None:
    """To the byte, however small the page has to be."""
    with two(new, old) as profiles:
        for most in (html.overhead() + 20_000_000, html.overhead()):  # the least that can be
            header, columns, _ = decode(build(*profiles, most=most).data)
            assert {one["name"] for one in header["ranges"]} > {"allocated", "survived"}
            for prefix, profile in zip(("", "base."), profiles):
                for what in ("bytes", "blocks"):
                    right = expected(profile, what)
                    shown = alive(columns, prefix, what)
                    assert bool(shown) == bool(right)
                    assert {end: right[end] for end in shown} == shown
                used = profile.figures.any(axis=1)
                for name in CHANGES:
                    whole = getattr(profile.recording.totals, name)[used].sum()
                    assert columns[f"{prefix}change.{name}"].sum() == whole, name
                samples = len(columns["sample.node"])
                for table in ("change", "birth", "exit"):
                    assert columns[f"{prefix}{table}.sample"].max(initial=-1) < samples


def ending(path: Path) -> Recording:
    """Two processes, the first of which ends after two of four seconds; both keep all they get."""
    make = Builder()
    make.process(100, end=2 * SECOND)
    make.process(101)
    stack = make.stack(make.python("f", "/home/u/a.py", 1))
    contexts = [make.context(process, stack) for process in (0, 1)]
    for second in range(4):
        chosen = contexts if second < 2 else contexts[1:]
        changes = {context: Change(1, 10 * (context + 1)) for context in chosen}
        make.slice(second * SECOND, (second + 1) * SECOND, changes)
    make.finish(4 * SECOND)
    return Recording.open(make.write(path))


def test_what_a_process_held_ends_with_it(tmp_path: Path) -> None:
    """In a comparison, where samples belong to no process. One recording has its processes."""
    with ending(tmp_path / "a.tide") as recording:
        profile = Profile(recording)
        _, columns, _ = decode(build(profile, profile).data)
        for prefix in ("", "base."):
            ends = [30, 60, 60, 80]  # the first is gone from the third second's end on
            assert list(alive(columns, prefix).values()) == ends
            assert columns[f"{prefix}exit.bytes"].tolist() == [20]
            assert columns[f"{prefix}exit.blocks"].tolist() == [2]
            assert int(columns[f"{prefix}change.bytes_out"].sum()) == 0
        assert not [name for name in decode(build(profile).data)[1] if "exit" in name[:6]]
