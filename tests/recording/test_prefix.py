"""A recording opens and can be shown wherever it is cut, as docs/format.md promises: those of real
programs with forks, several processes and threads, and of a run that was killed at once."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from heaptide.errors import RecordingError
from heaptide.recording import Recording
from heaptide.recording._chunks import CHUNK_HEADER, FILE_HEADER
from tests.recording import make, raw
from tests.recording.reading import documented, read_all, shown

RANDOM_CUTS = 60


def boundaries(data: bytes) -> list[int]:
    """Where chunks begin, and where the last whole one ends."""
    found, at = [], FILE_HEADER.size
    while True:
        found.append(at)
        if at + CHUNK_HEADER.size > len(data):
            return found
        stored = CHUNK_HEADER.unpack_from(data, at)[5]
        if at + CHUNK_HEADER.size + stored > len(data):
            return found
        at += CHUNK_HEADER.size + stored + (-stored & 7)


def marked(path: Path) -> Path:
    """Two processes, marks, a peak of all of them, uncompressed."""
    build = make.example()
    child = build.process(
        pid=4712, parent=1, start=make.SECOND, peak_bytes=64, peak_time=make.SECOND
    )
    thread = build.thread(child, 4712)
    context = build.context(child, build.stack(build.python("child", "child.py", 2)), thread=thread)
    build.slice(2 * make.SECOND, 3 * make.SECOND, {context: make.Change(1, 64)})
    build.peak({context: (1, 64)}, child)
    for second in (1, 2, 3):
        build.mark(second * make.SECOND, f"mark {second}", child, thread)
    build.write(path)
    return path


def cuts_of(data: bytes, chance: random.Random) -> list[int]:
    """Around every boundary of chunks and every end of a header, and anywhere."""
    near = (-1, 0, 1, CHUNK_HEADER.size - 1, CHUNK_HEADER.size, CHUNK_HEADER.size + 1)
    cuts = {at + by for at in boundaries(data) for by in near}
    cuts |= {chance.randrange(len(data) + 1) for _ in range(RANDOM_CUTS)}
    return sorted(cut for cut in cuts if 0 <= cut <= len(data))


@pytest.mark.parametrize("kind", ["finished", "sequence", "compacted", "killed", "marked"])
def test_cut_anywhere(kind: str, tmp_path: Path) -> None:
    """What lies before the cut is read, said to be cut, and shown; it never says more than a longer
    prefix does."""
    whole = {**vars(raw), "marked": marked}[kind](tmp_path / "whole.tide")
    data = whole.read_bytes()
    complete = Recording.open(whole)
    starts = np.array(boundaries(data))
    allocations = -1
    for number, size in enumerate(cuts_of(data, random.Random(5))):
        cut = tmp_path / f"{number}.tide"
        cut.write_bytes(data[:size])
        if size < FILE_HEADER.size:
            with pytest.raises(RecordingError):
                Recording.open(cut)
            continue
        recording = Recording.open(cut)
        assert recording.truncated_at is None or recording.truncated_at <= size
        if size in starts:
            assert recording.truncated_at is None
            assert recording.warnings == [] or "missing" in recording.warnings[0]
        counted = recording.summary.allocations
        assert counted >= allocations, size
        allocations = counted
        # Rows that a state and a final chunk both have count once.
        for table in (recording.sizes, recording.lifetimes):
            assert len(np.unique(table.context)) == len(table.context)
        # Final rows are at their places, though a state that had the others is a hole by now.
        for cut_ids, ids in (
            (recording.processes.pid, complete.processes.pid),
            (recording.threads.tid, complete.threads.tid),
        ):
            assert len(cut_ids) <= len(ids)
            assert ((cut_ids == 0) | (cut_ids == ids[: len(cut_ids)])).all()
        if number % 7 == 0:
            read_all(cut)
            assert shown(cut)
            assert documented(cut)["summary"]["allocations"] == counted
        cut.unlink()
    assert allocations > 0


def test_killed_recording(tmp_path: Path) -> None:
    """Everything published before the last checkpoint is in the file of a run that was killed."""
    with Recording.open(raw.killed(tmp_path / "killed.tide")) as recording:
        assert recording.end is None
        assert not recording.finished
        assert recording.summary.processes == 2
        assert recording.summary.threads >= 3
        # 14 rounds of 100 in each of the two threads, before "ready".
        assert recording.summary.allocations >= 2 * 14 * 100
