"""Differences of two recordings: matched by names, and complete."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.profile.random_recording import random_recording
from tests.recording.make import SECOND, Builder, Change

from heaptide.profile import FOLDS, METRICS, Profile, Status, compare
from heaptide.recording import Language, Recording


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
