"""Sizes and lifetimes by span of time on the page: whose they are, and that none is lost."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from tests.recording.make import SECOND, Builder, Change

from heaptide.profile import Profile, Selection
from heaptide.recording import Recording
from heaptide.views.page.gather import tables_of
from heaptide.views.page.header import header_of
from heaptide.views.page.owners import only_chosen
from heaptide.views.page.spreads import Spreads

PROCESSES, THREADS, SLICES = 4, 3, 20
Key = tuple[int, int, int]  # process, thread, bucket


def recorded(folder: Path, interval: int = 0) -> Recording:
    """Processes with threads each, and blocks of all buckets at random."""
    make, chance = Builder(), random.Random(7)
    make.meta["config"]["sample_interval"] = interval
    contexts = []
    for pid in range(PROCESSES):
        process = make.process(pid + 10)
        for tid in range(THREADS):
            thread = make.thread(process, 100 * pid + tid)
            stack = make.stack(make.python(f"f{tid}", "/home/u/a.py", 1))
            contexts.append(make.context(process, stack, thread=thread))
    for number in range(SLICES):
        changes = {context: Change(1, 100 * (context + 1)) for context in contexts}
        make.slice(number * SECOND, (number + 1) * SECOND, changes)
        rows = chance.sample(range(PROCESSES * THREADS), 5)
        make.spread(number, {(row, chance.randrange(28)): chance.randrange(1, 9) for row in rows})
    make.finish(SLICES * SECOND)
    return Recording.open(make.write(folder / f"{interval}.tide"))


def counted(spreads: Spreads, bins: range | None = None) -> Counter[Key]:
    offsets = spreads.offsets.tolist()
    first, stop = (0, len(offsets) - 1) if bins is None else (bins.start, bins.stop)
    found: Counter[Key] = Counter()
    for row in range(offsets[first], offsets[stop]):
        key = int(spreads.process[row]), int(spreads.thread[row]), int(spreads.bucket[row])
        found[key] += int(spreads.count[row])
    return found


def expected(recording: Recording, first: int = 0, stop: int = SLICES) -> Counter[Key]:
    spreads = recording.spreads(first, stop)
    rows = zip(spreads.thread.tolist(), spreads.bucket.tolist(), spreads.blocks.tolist())
    return Counter({(row // THREADS, row + 1, bucket): blocks for row, bucket, blocks in rows})


@pytest.mark.parametrize("bins", [1, 4, 7, 100])
def test_bins_have_those_of_their_slices(tmp_path: Path, bins: int) -> None:
    recording = recorded(tmp_path)
    tables, _ = tables_of(Profile(recording), bins=bins, samples=1000)
    spreads, changes = tables.spreads, tables.new.changes
    assert len(spreads.offsets) == len(changes) + 1
    ends = np.searchsorted(recording.slices.end, changes.end) + 1
    for number, (first, stop) in enumerate(zip([0, *ends.tolist()], ends.tolist())):
        assert counted(spreads, range(number, number + 1)) == expected(recording, first, stop)
    coarser = spreads.coarser()
    assert len(coarser.offsets) == len(changes.coarser()) + 1
    for number in range(len(coarser.offsets) - 1):
        both = range(2 * number, min(2 * number + 2, len(changes)))
        assert counted(coarser, range(number, number + 1)) == counted(spreads, both)


def test_owners_that_are_together(tmp_path: Path) -> None:
    """Who is not told apart has one number, that of its samples."""
    recording = recorded(tmp_path)
    tables, together = tables_of(Profile(recording), bins=5, samples=6)
    gone = set(together.processes.tolist())
    assert gone
    wanted: Counter[Key] = Counter()
    for (process, thread, bucket), blocks in expected(recording).items():
        if process in gone:
            process, thread = PROCESSES, PROCESSES * THREADS + 1
        elif thread - 1 in together.threads.tolist():
            thread = PROCESSES * THREADS + 1
        wanted[process, thread, bucket] += blocks
    assert counted(tables.spreads) == wanted
    owners = {(process, thread) for process, thread, _ in wanted}
    assert owners <= set(zip(tables.process.tolist(), tables.thread.tolist()))


def test_only_what_is_selected(tmp_path: Path) -> None:
    recording = recorded(tmp_path)
    whole = expected(recording)
    some, _ = tables_of(Profile(recording, (1, 2)), bins=5, samples=1000)
    assert counted(some.spreads) == {key: n for key, n in whole.items() if key[0] in (1, 2)}
    stack, _ = tables_of(Profile(recording, Selection(functions=("f1",))), bins=5, samples=1000)
    assert not stack.spreads.known
    sampled, _ = tables_of(Profile(recorded(tmp_path, 4096)), bins=5, samples=1000)
    assert counted(sampled.spreads) == {key: n for key, n in whole.items() if key[2] >= 8}


def test_a_page_of_some_processes_numbers_them_anew(tmp_path: Path) -> None:
    recording = recorded(tmp_path)
    profile = Profile(recording, (1, 3))
    tables, _ = tables_of(profile, bins=5, samples=1000)
    header = header_of(profile, None, live=False)
    spreads = only_chosen(header, tables, profile).spreads
    wanted: Counter[Key] = Counter()
    for (process, thread, bucket), blocks in expected(recording).items():
        if process in (1, 3):
            place = {1: 0, 3: 1}[process]
            wanted[place, place * THREADS + (thread - 1) % THREADS + 1, bucket] += blocks
    assert counted(spreads) == wanted
