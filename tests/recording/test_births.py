"""Births and deaths from the recorder's counts, against blocks whose whole lives are known."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heaptide.errors import RecordingError
from heaptide.recording import Births, Kind, Recording, Writer, finish
from heaptide.recording._births import Count, coarser, join
from tests.recording.make import example, numbers


@dataclass
class Block:
    context: int
    born: int
    died: int  # or END
    size: int
    left_at: int | None = None  # its process's end: it is alive for good


END = 1000
CONTEXTS = 5


def random_blocks(rng: random.Random) -> list[Block]:
    blocks = []
    for _ in range(rng.randint(0, 60)):
        born = rng.randint(0, END - 1)
        died = rng.choice([END + 1, rng.randint(born + 1, END)])
        blocks.append(Block(rng.randrange(CONTEXTS), born, died, rng.randint(1, 99)))
    return blocks


def count_at(
    blocks: list[Block], time: int, bounds: list[int], *, born_before: int = END + 1
) -> Count:
    """What the recorder writes at ``time``, when it tells births apart by ``bounds``."""
    rows: dict[tuple[int, int], list[int]] = {}
    for block in blocks:
        if not block.born < time < block.died or block.born >= born_before:
            continue
        cell = sum(bound <= block.born for bound in bounds)
        row = rows.setdefault((block.context, cell), [0, 0])
        row[0] += 1
        row[1] += block.size
    order = sorted(rows)
    return Count(
        time,
        numbers(bounds).astype(np.int64),
        numbers([context for context, _ in order]).astype(np.int64),
        numbers([cell for _, cell in order]).astype(np.int64),
        numbers([rows[key][0] for key in order]).astype(np.int64),
        numbers([rows[key][1] for key in order]).astype(np.int64),
    )


def counted(rng: random.Random, blocks: list[Block]) -> list[Count]:
    """Counts at random times, of which the recorder has forgotten every second one now and then."""
    times = sorted(rng.sample(range(2, END, 2), rng.randint(0, 20)))
    bounds: list[int] = []
    counts = []
    for time in [*times, END]:
        if len(bounds) > 1 and rng.random() < 0.2:
            bounds = bounds[(len(bounds) + 1) % 2 :: 2]
        counts.append(count_at(blocks, time, bounds))
        bounds.append(time)
    return counts


def true_survivors(blocks: list[Block], start: int, end: int) -> list[int]:
    found = [0] * CONTEXTS
    for block in blocks:
        if start <= block.born < end < block.died:
            found[block.context] += block.size
    return found


def check(births: Births, blocks: list[Block]) -> None:
    times = births.times.tolist()
    for last, end in enumerate(times):
        for first, start in enumerate([0, *times[:last]]):
            found = births.survivors(CONTEXTS, first, last)
            assert true_survivors(blocks, start, end) == found.bytes.tolist()


@given(st.integers(0, 10**9))
def test_survivors_between_any_two_counts(seed: int) -> None:
    """Whatever was forgotten: exact between the counts that are left, and with fewer of them."""
    rng = random.Random(seed)
    blocks = random_blocks(rng)
    counts = counted(rng, blocks)
    births = join(counts, [])
    assert births.times.tolist() == [
        time for time in (c.time for c in counts) if time in counts[-1].bounds or time == END
    ]
    check(births, blocks)
    fewer = coarser(births, len(births) // 2)
    assert len(fewer) <= len(births)
    assert fewer.times.size == 0 or fewer.times[-1] == END
    check(fewer, blocks)


@given(st.integers(0, 10**9))
def test_what_an_ended_process_leaves_is_alive_for_good(seed: int) -> None:
    rng = random.Random(seed)
    stays = random_blocks(rng)
    leaves = random_blocks(rng)
    ended = rng.randrange(1, END, 2)
    leaves = [b for b in leaves if b.born < ended]
    for block in leaves:
        if block.died > ended:
            block.died = END + 1  # nobody frees it any more
    counts = []
    left: list[Count] = []
    bounds: list[int] = []
    for time in [*sorted(rng.sample(range(2, END, 2), rng.randint(1, 20))), END]:
        if time > ended and not left:
            left = [count_at(leaves, ended, bounds)]
        living = stays if time > ended else [*stays, *leaves]
        counts.append(count_at(living, time, bounds))
        bounds.append(time)
    check(join(counts, left), [*stays, *leaves])


def test_a_count_that_is_missing_makes_it_coarser(tmp_path: Path) -> None:
    """A bound of which there is no count tells nothing apart."""
    blocks = [Block(0, 1, END + 1, 7), Block(0, 5, END + 1, 30)]
    counts = [count_at(blocks, 4, []), count_at(blocks, 8, [4]), count_at(blocks, END, [4, 8])]
    births = join([counts[0], counts[2]], [])
    assert births.times.tolist() == [4, END]
    check(births, blocks)


def test_no_counts() -> None:
    births = join([], [])
    assert len(births) == 0
    assert births.survivors(2, 0, 0).bytes.tolist() == [0, 0]


def with_census(path: Path, **columns: list[int]) -> Path:
    """The example with a count of its own."""
    with Writer(path, level=None, finished=True, compacted=False) as writer:
        example().write_chunks(writer)
        writer.chunk(Kind.CENSUS, {name: numbers(values) for name, values in columns.items()})
    return path


def test_the_finishing_pass_keeps_them(tmp_path: Path) -> None:
    path = with_census(
        tmp_path / "a.tide",
        time=[3000],
        bound=[1000, 2000],
        context=[0, 1, 1],
        cell=[0, 1, 2],
        blocks=[1, 2, 3],
        bytes=[10, 20, 30],
    )
    with Recording.open(path) as before:
        rows = before.births
        assert rows.survivors(2, 0, 0).bytes.tolist() == [10, 50]  # one count: one cell
    assert finish(path, symbols=False).compacted
    with Recording.open(path) as after:
        for name, column in vars(rows).items():
            assert column.tolist() == getattr(after.births, name).tolist(), name


@pytest.mark.parametrize(
    "columns",
    [
        {"time": [3000], "bound": [2000, 1000], "context": [0], "blocks": [1], "bytes": [1]},
        {"time": [3000], "bound": [4000], "context": [0], "blocks": [1], "bytes": [1]},
    ],
)
def test_times_out_of_order_are_refused(tmp_path: Path, columns: dict[str, list[int]]) -> None:
    path = with_census(tmp_path / "a.tide", **columns)
    with Recording.open(path) as recording, pytest.raises(RecordingError, match="malformed"):
        _ = recording.births


@pytest.mark.parametrize("born, died", [(1, 1), (0, 3), (2, 1)])
def test_deaths_before_births_are_refused(tmp_path: Path, born: int, died: int) -> None:
    path = tmp_path / "a.tide"
    with Writer(path, level=None, finished=True, compacted=True) as writer:
        example().write_chunks(writer)
        rows = {"context": [0], "born": [born], "died": [died], "blocks": [1], "bytes": [1]}
        writer.chunk(
            Kind.BIRTHS, {"time": numbers([5, 9]), **{n: numbers(v) for n, v in rows.items()}}
        )
    with Recording.open(path) as recording, pytest.raises(RecordingError, match="malformed"):
        _ = recording.births
