"""Leaks: what grows and stays after warm-up, and nothing else."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.recording.make import SECOND, Builder, Change

from heaptide.profile import LEAKED, Profile, Selection, metric, stack_tree
from heaptide.recording import Recording

SLICES = 100


def recorded(
    path: Path, *series: Sequence[int], blocks: int = 1, period: int = SECOND
) -> Recording:
    """A context for each series: bytes live at the end of each ``period``; a block for each unit,
    or so many."""
    build = Builder()
    build.process(end=len(series[0]) * period)
    build.thread()
    contexts = [
        build.context(stack=build.stack(build.python(f"f{i}", "/a.py", i + 1)))
        for i in range(len(series))
    ]
    before = [0] * len(series)
    for turn, values in enumerate(zip(*series)):
        changes = {}
        for context, value, old in zip(contexts, values, before):
            came, went = max(value - old, 0), max(old - value, 0)
            if came or went:
                changes[context] = Change(came, came * blocks, went, went * blocks)
        before = list(values)
        build.slice(turn * period, (turn + 1) * period, changes)
    build.finish(len(series[0]) * period)
    return Recording.open(build.write(path))


def line(step: int) -> list[int]:
    return [step * (i + 1) for i in range(SLICES)]


SHAPES = {
    "leak": line(10),
    "steps": [100 * (i // 12) for i in range(SLICES)],
    "saw-tooth that rises": [10 * i + 500 * (i % 5) for i in range(SLICES)],
    "flat": [1000] * SLICES,
    "warm-up": [min(i, 15) * 100 for i in range(SLICES)],
    "plateau later": [min(i, 45) * 100 for i in range(SLICES)],
    "saw-tooth": [500 * (i % 7) for i in range(SLICES)],
    "spikes": [5000 if i in (30, 60, 85) else 10 for i in range(SLICES)],
    "only the tail": [0] * 90 + [1000 * i for i in range(10)],
    "freed in the tail": [10 * i for i in range(90)] + [0] * 10,
    "freed at exit": [10 * (i + 1) for i in range(97)] + [0] * 3,
    "falls": [10 * (SLICES - i) for i in range(SLICES)],
    "one step": [100 if i < 50 else 900 for i in range(SLICES)],
}

LEAKS = {"leak", "steps", "saw-tooth that rises", "freed at exit"}


def test_shapes(tmp_path: Path) -> None:
    """Which of them leak, and how much: the rise of the floor from window to window."""
    recording = recorded(tmp_path / "a.tide", *SHAPES.values())
    profile = Profile(recording)
    found = dict(zip(SHAPES, profile.leaked[:, 0].tolist()))
    leaks = {name: size for name, size in found.items() if size}
    assert set(leaks) == LEAKS
    # Windows begin at 20, 43.3 and 66.7 s. A floor of a line is its first value: of the end of
    # the slice that reaches beyond the window's beginning.
    assert leaks["leak"] == leaks["freed at exit"] == 10 * (67 - 20)
    assert profile.leaked[:, 1].tolist() == profile.leaked[:, 0].tolist()


def test_it_folds_like_any_metric(tmp_path: Path) -> None:
    recording = recorded(tmp_path / "a.tide", *SHAPES.values(), blocks=3)
    profile = Profile(recording)
    fold = profile.fold("function", metric("leaked"), inclusive=True)
    names = [profile.locations.texts[profile.locations.function[row]] for row in fold.location]
    leaks = [(name, value) for name, value in zip(names, fold.values.tolist()) if value]
    assert {name for name, _ in leaks} == {
        f"f{i}" for i, name in enumerate(SHAPES) if name in LEAKS
    }
    assert fold.inclusive is not None
    assert fold.inclusive.tolist() == fold.values.tolist()
    assert sum(value for _, value in leaks) == profile.total_of(LEAKED)
    assert (profile.leaked[:, 0] == 3 * profile.leaked[:, 1]).all()
    from heaptide.profile import metric_figures

    tree = stack_tree(profile, figures=metric_figures(profile, LEAKED))
    assert tree.inclusive[0].tolist() == profile.leaked.sum(axis=0).tolist()


@pytest.mark.parametrize("slices", [0, 1, 10, 16])
def test_too_short_to_say(tmp_path: Path, slices: int) -> None:
    recording = recorded(tmp_path / "a.tide", [10 * i for i in range(slices)])
    assert Profile(recording).leaked.tolist() == [[0, 0]]


def test_a_range_has_a_warm_up_of_its_own(tmp_path: Path) -> None:
    """What fills up from 0 to 45 s leaks, if nobody looks further."""
    recording = recorded(tmp_path / "a.tide", SHAPES["plateau later"])
    assert Profile(recording).total_of(LEAKED) == 0
    assert Profile(recording, Selection(end=45.0)).total_of(LEAKED) == 100 * (30 - 9)
    assert Profile(recording, Selection(functions=("f0",), end=45.0)).total_of(LEAKED) == 2100
    assert Profile(recording, Selection(without_functions=("f0",), end=45.0)).total_of(LEAKED) == 0


@given(st.lists(st.integers(0, 50), min_size=30, max_size=60), st.integers(1, 5))
@settings(deadline=None, max_examples=60)
def test_never_more_than_is_alive_and_rose(values: list[int], rise: int) -> None:
    """Noise on a line: what leaked was allocated after warm-up and still alive in the tail."""
    series = [value + rise * i for i, value in enumerate(values)]
    with tempfile.TemporaryDirectory() as directory:
        recording = recorded(Path(directory) / "a.tide", series)
        found = Profile(recording).leaked[0]
    assert 0 <= found[0] <= series[int(len(series) * 0.95) - 1]
    warm_up = int(len(series) * 0.2)
    came = np.diff(series[warm_up - 1 :]).clip(min=0).sum()
    assert found[0] <= came


def test_a_leak_is_one_in_whatever_thread_each_part_was_made(tmp_path: Path) -> None:
    """A thread for each request: no thread leaks, and the stack does. Its threads share it."""
    build = Builder()
    build.process(end=SLICES * SECOND)
    stack = build.stack(build.python("cache", "/a.py", 1))
    other = build.stack(build.python("buffer", "/a.py", 9))
    contexts = []
    for second in range(SLICES):
        thread = build.thread(0, 100 + second)
        kept, brief = (
            build.context(stack=stack, thread=thread),
            build.context(stack=other, thread=thread),
        )
        contexts.append(kept)
        build.slice(
            second * SECOND,
            (second + 1) * SECOND,
            {kept: Change(1, 10), brief: Change(1, 50, 1, 50)},
        )
    build.finish(SLICES * SECOND)
    with Recording.open(build.write(tmp_path / "a.tide")) as recording:
        profile = Profile(recording)
        fold = profile.fold("function", LEAKED)
        at = profile.locations
        found = {
            at.texts[at.function[row]]: int(value)
            for row, value in zip(fold.location, fold.values)
            if value
        }
        one = recorded(tmp_path / "b.tide", line(10))
        assert found == {"cache": int(Profile(one).leaked[:, 0].sum())}
        shares = profile.leaked[contexts, 0]
        assert shares.min() >= 0 and (shares <= 10).all()
        assert int(shares.sum()) == found["cache"] > 0
        one.close()
