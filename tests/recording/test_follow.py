"""Following a recording that grows: each look tells what opening it anew would tell."""

from __future__ import annotations

import os
import random
import threading
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heaptide.errors import RecordingError
from heaptide.recording import Kind, Recording, StringColumn
from heaptide.recording._follow import Follower

from .growing import Growing
from .make import ALL, SECOND, Builder, Change, example

TABLES = [
    *("processes", "threads", "modules", "codes", "frames", "stacks", "contexts", "slices"),
    *("timeline", "peaks", "lifetimes", "sizes", "marks", "notes", "totals"),
]


def equal(one: Any, other: Any) -> bool:
    if isinstance(one, np.ndarray):
        return np.array_equal(one, other)
    if isinstance(one, StringColumn):
        return list(one) == list(other)
    if is_dataclass(one):
        return all(equal(getattr(one, f.name), getattr(other, f.name)) for f in fields(one))
    return bool(one == other)


def same(followed: Recording, path: Path) -> None:
    """Every table of ``followed`` is what the file at ``path`` opens as."""
    with Recording.open(path) as opened:
        for name in TABLES:
            assert equal(getattr(followed, name), getattr(opened, name)), name
        assert followed.summary == opened.summary
        assert followed.meta == opened.meta
        assert list(followed.strings) == list(opened.strings)
        shown = [followed.frame_names()[frame] for frame in range(len(followed.frames))]
        assert shown == [opened.frame_names()[frame] for frame in range(len(opened.frames))]


class Program:
    """What a program does, from a seed, step by step."""

    def __init__(self, seed: int, path: Path) -> None:
        self.rng = random.Random(seed)
        self.build = Builder()
        self.file = Growing(path, self.build)
        self.time = 0
        self.held: dict[int, tuple[int, int]] = {}
        self.merged = 0

    def step(self) -> None:
        rng, build = self.rng, self.build
        if not build.tables[Kind.PROCESSES].rows or rng.random() < 0.1:
            pid = len(build.tables[Kind.PROCESSES].rows) + 10
            build.thread(build.process(pid), pid)
        process = rng.randrange(len(build.tables[Kind.PROCESSES].rows))
        for _ in range(rng.randint(0, 3)):
            depth = rng.randint(1, 4)
            frames = [build.python(f"f{rng.randint(0, 9)}", "a.py", 1) for _ in range(depth)]
            build.context(process, build.stack(*frames), thread=process)
        contexts = len(build.tables[Kind.CONTEXTS].rows)
        again = rng.random() < 0.3 and len(build.slices) > self.merged + 1
        start = build.slices.pop()[0] if again else self.time
        self.time = start + rng.randint(1, 3) * SECOND + (SECOND if again else 0)
        chosen = rng.sample(range(contexts), rng.randint(0, contexts))
        changes = {c: Change(*(rng.randint(0, 99) for _ in range(8))) for c in sorted(chosen)}
        if again:
            self.file._written[Kind.DELTAS] = min(
                self.file._written[Kind.DELTAS], len(build.slices)
            )
        build.slice(start, self.time, changes)
        build.timeline(self.time, ALL, live_bytes=rng.randint(1, 1000), allocations=7)
        build.tables[Kind.PROCESSES].rows[process]["live_bytes"] = rng.randint(1, 1000)
        if rng.random() < 0.5 and chosen:
            build.tables[Kind.PEAK].rows.clear()
            build.peak({chosen[0]: (1, rng.randint(1, 99))})
        self.file.checkpoint(heavy=rng.random() < 0.5, void=rng.random() < 0.8)
        if rng.random() < 0.15 and len(build.slices) - self.merged > 3:
            first, self.merged = self.merged, self.merged + 2
            self.file.merge_slices(first, self.merged)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), looks=st.lists(st.integers(0, 4), min_size=1, max_size=12))
def test_any_growth(seed: int, looks: list[int], tmp_path_factory: pytest.TempPathFactory) -> None:
    """Looked at after any number of steps, it is what the file opens as."""
    path = tmp_path_factory.mktemp("grow") / "r.tide"
    program = Program(seed, path)
    with Follower(path) as follower:
        for steps in looks:
            for _ in range(steps):
                program.step()
            if program.build.tables[Kind.PROCESSES].rows:
                same(follower.look(), path)
    program.file.close()


def test_older_looks_stay(tmp_path: Path) -> None:
    """What a look has given does not change with the next."""
    program = Program(1, tmp_path / "r.tide")
    with Follower(tmp_path / "r.tide") as follower:
        program.step()
        first = follower.look()
        before = first.totals.bytes_in.copy(), len(first.contexts), first.summary
        while len(program.build.contexts) < 30:
            program.step()
        assert len(follower.look().contexts) == 30 or len(follower.look().contexts) > 30
        assert (len(first.contexts), first.summary) == before[1:]
        assert np.array_equal(first.totals.bytes_in, before[0])
    program.file.close()


def test_cut_anywhere(tmp_path: Path) -> None:
    """A chunk that is not whole yet is not there yet, wherever the writer has got to."""
    whole = Path(example().write(tmp_path / "whole.tide", finished=False)).read_bytes()
    path = tmp_path / "r.tide"
    path.write_bytes(whole[:16])
    with Follower(path) as follower:
        for size in range(16, len(whole) + 1, 41):
            with path.open("ab") as file:
                file.write(whole[path.stat().st_size : size])
            followed = follower.look()
            with Recording.open(path) as opened:
                assert len(followed.stacks) == len(opened.stacks)
                assert equal(followed.totals, opened.totals)


def test_merged_voids(tmp_path: Path) -> None:
    """Chunks right behind what was known may become one void with it, and leave no header."""
    build = example()
    build.end = None
    grown = Growing(tmp_path / "r.tide", build)
    grown.checkpoint()
    regions = [grown.append(Kind.THREADS, {"tid": np.array([1])}, "a")]
    grown._flush()
    with Follower(grown.path) as follower:
        follower.look()
        regions.append(grown.append(Kind.THREADS, {"tid": np.array([2])}, "b"))
        regions.append(grown.append(Kind.THREADS, {"tid": np.array([3])}, "c"))
        grown.append(Kind.THREADS, {"tid": np.array([4])}, "d")
        grown._flush()
        for start, end in (regions[1], regions[0], regions[2]):
            grown._void(start, end)
        # Where the remains of a header look like one, it takes a second look.
        found = [follower.look().threads.tid.tolist() for _ in range(2)]
        assert found[-1] == [4]
        # Again, with what was known last in the middle of the void.
        regions = [grown.append(Kind.THREADS, {"tid": np.array([n])}, f"e{n}") for n in range(5, 9)]
        grown._flush()
        assert follower.look().threads.tid.tolist() == [8]
        regions.append(grown.append(Kind.THREADS, {"tid": np.array([9])}, "f"))
        grown.append(Kind.THREADS, {"tid": np.array([10])}, "g")
        grown._flush()
        for start, end in regions:
            grown._void(start, end)
        found = [follower.look().threads.tid.tolist() for _ in range(2)]
        assert found[-1] == [10]
    grown.close()


def test_joined_kind(tmp_path: Path) -> None:
    """A chunk may take the place of all of a kind that grows."""
    program = Program(5, tmp_path / "r.tide")
    with Follower(tmp_path / "r.tide") as follower:
        for _ in range(6):
            program.step()
        follower.look()
        program.file.join(Kind.TIMELINE)
        followed = follower.look()
        assert len(followed.timeline) == 6
        same(followed, tmp_path / "r.tide")
    program.file.close()


def test_payload_gone_when_asked(tmp_path: Path) -> None:
    """A slice that was given up after a look is a RecordingError when its rows are wanted."""
    program = Program(2, tmp_path / "r.tide")
    while len(program.build.slices) < 6 or program.merged:
        program.step()
    with Follower(tmp_path / "r.tide") as follower:
        look = follower.look()
        before = look.totals_between(0, 3)
        assert len(before)
        program.file.merge_slices(0, 3)
        with pytest.raises(RecordingError, match="has changed"):
            look.totals_between(0, 3)
        same(follower.look(), tmp_path / "r.tide")
    program.file.close()


def test_finished_and_replaced(tmp_path: Path) -> None:
    """The finished form is noticed, and given back as the same object from then on."""
    path = tmp_path / "r.tide"
    program = Program(3, path)
    program.step()
    with Follower(path) as follower:
        assert not follower.look().finished
        program.file.finish()
        raw = follower.look()
        assert raw.finished and not raw.compacted
        assert follower.look() is raw
        example().write(tmp_path / "new.tide", level=3)
        (tmp_path / "new.tide").replace(path)
        assert follower.look().summary == Recording.open(path).summary
        assert follower.look() is follower.look()


def test_recorded_anew(tmp_path: Path) -> None:
    """Another recording at the same path is followed from its beginning."""
    path = tmp_path / "r.tide"
    program = Program(3, path)
    program.step()
    with Follower(path) as follower:
        follower.look()
        program.file.close()
        path.unlink()
        assert len(follower.look().contexts) == len(program.build.contexts)
        assert follower.deleted
        other = Program(4, path)
        for _ in range(3):
            other.step()
        same(follower.look(), path)
        assert not follower.deleted
    other.file.close()


def test_cut_back(tmp_path: Path) -> None:
    """A writer that finds the disk full takes back what it has begun."""
    path = tmp_path / "r.tide"
    program = Program(6, path)
    program.step()
    size = program.file.size
    with Follower(path) as follower:
        program.build.context(0, program.build.stack(program.build.python("late", "b.py", 1)))
        program.file.checkpoint()
        follower.look()
        os.truncate(path, size + 20)
        same(follower.look(), path)
    program.file.close()


def test_damaged_in_the_middle(tmp_path: Path) -> None:
    """What comes before the damage is shown; looking again and again does no harm."""
    path = Path(example().write(tmp_path / "r.tide", finished=False))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with Follower(path) as follower:
        for _ in range(4):
            followed = follower.look()
        with Recording.open(path) as opened:
            assert len(followed.stacks) == len(opened.stacks)


@pytest.mark.parametrize("content", [b"", b"heapt", b"something else", b"heaptide" + b"\x09" * 8])
def test_no_recording(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "r.tide"
    path.write_bytes(content)
    with pytest.raises(RecordingError):
        Follower(path)
    with pytest.raises(RecordingError, match="does not exist"):
        Follower(tmp_path / "missing.tide")


def test_save(tmp_path: Path) -> None:
    """A snapshot opens as what was there; it takes the place of no other file."""
    path, copy = tmp_path / "r.tide", tmp_path / "copy.tide"
    program = Program(7, path)
    with Follower(path) as follower:
        for _ in range(8):
            program.step()
        assert follower.save(copy) == copy.stat().st_size
        same(follower.look(), copy)
        with pytest.raises(FileExistsError):
            follower.save(copy)
        path.unlink()
        follower.save(tmp_path / "second.tide")
        assert (tmp_path / "second.tide").read_bytes() == copy.read_bytes()
    program.file.close()


def test_while_it_is_written(tmp_path: Path) -> None:
    """Against a writer at full speed: no look fails, and figures never go back."""
    path = tmp_path / "r.tide"
    program = Program(8, path)
    program.step()
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set() and program.file.size < 8 << 20:
            program.step()

    writer = threading.Thread(target=write)
    writer.start()
    seen: list[int] = []
    try:
        with Follower(path) as follower:
            while writer.is_alive() and len(seen) < 150:
                look = follower.look()
                seen.append(len(look.contexts))
                assert len(look.totals) == seen[-1]
    finally:
        stop.set()
        writer.join()
        program.file.close()
    assert seen == sorted(seen)
    with Follower(path) as follower:
        same(follower.look(), path)
