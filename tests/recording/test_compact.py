"""The finishing pass keeps every figure, shrinks the file, and never loses the raw one."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from heaptide.errors import OutputError, RecordingError
from heaptide.recording import Kind, Recording, Writer, _compact, _spreads, finish, symbolize
from heaptide.recording._schema import METRICS
from heaptide.recording._tables import Totals
from tests.recording import make
from tests.recording.make import SECOND, Change
from tests.recording.reading import read_all
from tests.recording.test_chunks import offsets


def figures(totals: Totals) -> dict[str, list[int]]:
    return {name: column.tolist() for name, column in vars(totals).items()}


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    return Path(make.example().write(tmp_path / "raw.tide"))


def test_keeps_everything(raw: Path) -> None:
    with Recording.open(raw) as before:
        summary, totals, symbols = before.summary, figures(before.totals), before.symbols
        timeline = before.timeline.live_bytes.tolist()
        names = [n for names in before.frame_names() for n in names]
    assert symbols is not None
    raw.chmod(0o640)
    done = finish(raw, symbols=False)
    assert done.compacted
    assert done.bytes_after < done.bytes_before
    assert raw.stat().st_mode & 0o777 == 0o640
    with Recording.open(raw) as after:
        assert after.compacted
        assert after.finished
        assert summary == after.summary
        assert totals == figures(after.totals)
        assert timeline == after.timeline.live_bytes.tolist()
        assert names == [n for names in after.frame_names() for n in names]
        assert "writer" in after.meta
    read_all(raw)
    assert [raw] == list(raw.parent.iterdir())


def test_finishing_again_changes_nothing(raw: Path) -> None:
    finish(raw)
    first = raw.read_bytes()
    finish(raw)
    assert first == raw.read_bytes()


def test_symbols_are_added(raw: Path, tmp_path: Path) -> None:
    """Python frames get their lines; native names that cannot be found again are kept."""
    done = symbolize(raw)
    assert done.frames_named == 3
    with Recording.open(raw) as recording:
        names = recording.frame_names()
        assert names[2][1].function == "work::grow()"
        assert (names[1][0].function, names[1][0].line) == ("load", 10)
        assert done.advice == recording.meta["advice"]


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=20
)
@given(st.integers(0, 40), st.integers(1, 9), st.randoms(use_true_random=False))
def test_slices_merge(
    tmp_path_factory: pytest.TempPathFactory, count: int, most: int, random: object
) -> None:
    """However many slices merge, totals stay, and so do the times they cover."""
    build = make.Builder()
    build.process()
    for number in range(4):
        build.context(stack=build.stack(build.native(None, number)))
    generator = np.random.default_rng(count * 100 + most)
    for number in range(count):
        chosen = generator.choice(4, generator.integers(0, 5), replace=False).tolist()
        change = {c: Change(*generator.integers(0, 1 << 40, 8).tolist()) for c in chosen}
        build.slice(number * SECOND, (number + 1) * SECOND, change)
    path = tmp_path_factory.mktemp("merge") / "a.tide"
    build.write(path)
    with Recording.open(path) as before:
        expected = figures(before.totals)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_compact, "MAX_SLICES", most)
        finish(path)
    with Recording.open(path) as after:
        assert expected == figures(after.totals)
        assert len(after.slices) <= most
        if count:
            assert (0, count * SECOND) == (after.slices.start[0], after.slices.end[-1])
            assert after.slices.start[1:].tolist() == after.slices.end[:-1].tolist()
        for index in range(len(after.slices)):
            contexts = after.deltas(index, index + 1).context
            assert sorted(set(contexts.tolist())) == contexts.tolist()


def test_spreads_add_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build = make.Builder()
    build.process()
    for tid in (1, 2):
        build.thread(0, tid)
    build.context(stack=build.stack(build.native(None, 1)))
    for number in range(5):
        build.slice(number * SECOND, (number + 1) * SECOND, {0: Change(1, 1)})
        if number != 2:
            build.spread(number, {(0, 0): 1, (1, 27): 10 + number, (number % 2, 16): 1 << 40})
    path = tmp_path / "a.tide"
    build.write(path)
    monkeypatch.setattr(_compact, "MAX_SLICES", 3)

    def rows(first: int = 0, stop: int | None = None) -> list[tuple[int, int, int]]:
        with Recording.open(path) as recording:
            assert recording.has_spreads
            spreads = recording.spreads(first, stop)
        columns = (spreads.thread, spreads.bucket, spreads.blocks)
        return list(zip(*(column.tolist() for column in columns)))

    expected = [(0, 0, 4), (0, 16, 2 << 40), (1, 16, 2 << 40), (1, 27, 48)]
    assert rows() == expected
    assert rows(2, 3) == []
    assert rows(0, 2) == [(0, 0, 2), (0, 16, 1 << 40), (1, 16, 1 << 40), (1, 27, 21)]
    finish(path)
    assert rows() == expected
    assert rows(1, 2) == [(0, 0, 1), (1, 16, 1 << 40), (1, 27, 13)]


def test_spreads_that_make_no_sense(tmp_path: Path) -> None:
    """Of what does not exist nothing is told, and a damaged one is named."""
    build = make.Builder()
    build.process()
    build.thread()
    build.context(stack=build.stack(build.native(None, 1)))
    build.slice(0, SECOND, {0: Change(1, 1)})
    build.spread(0, {(0, 3): 1, (7, 3): 1, (0, 28): 1})
    path = tmp_path / "a.tide"
    build.write(path)
    with Recording.open(path) as recording:
        assert recording.spreads().blocks.tolist() == [1]
    columns = make.spread_columns({(0, 3): 1, (0, 4): 1})
    with pytest.raises(ValueError, match="differ in length"):
        _spreads.read({**columns, "spread_bucket": columns["spread_bucket"][:1]}, 1)


def test_no_slice_merges_over_a_mark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor over one in a slice without changes, which is not in the file; one inside a slice is."""
    build = make.Builder()
    build.process()
    build.context(stack=build.stack(build.native(None, 1)))
    for start, end in ((0, 4), (4, 8), (8, 10), (14, 16), (16, 24), (24, 25), (25, 26)):
        build.slice(start * SECOND, end * SECOND, {0: Change(blocks_in=1, bytes_in=1)})
    for time in (8, 12, 20, 26):
        build.mark(time * SECOND, "mark")
    path = tmp_path / "a.tide"
    build.write(path)
    monkeypatch.setattr(_compact, "MAX_SLICES", 2)
    finish(path)
    with Recording.open(path) as recording:
        times = zip(recording.slices.start // SECOND, recording.slices.end // SECOND)
        assert list(times) == [(0, 8), (8, 10), (14, 26)]


def test_raw_stays_when_the_disk_is_full(raw: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = raw.read_bytes()

    def full(self: Writer) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Writer, "sync", full)
    done = finish(raw)
    assert not done.compacted
    assert ["no space" in line for line in done.warnings] == [True]
    with pytest.raises(OutputError, match="no space"):
        symbolize(raw)
    assert content == raw.read_bytes()
    assert [raw] == list(raw.parent.iterdir())


def test_what_is_still_written_to_stays(raw: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its writer would go on in a file that has no name any more."""
    content = raw.read_bytes()

    def meanwhile(self: Writer) -> None:
        with raw.open("ab") as file:
            file.write(b"more")

    monkeypatch.setattr(Writer, "sync", meanwhile)
    assert not finish(raw).compacted
    with pytest.raises(OutputError, match="was written to meanwhile"):
        symbolize(raw)
    assert raw.read_bytes() == content + b"more" * 2
    assert [raw] == list(raw.parent.iterdir())


def test_full_disk_for_real(raw: Path) -> None:
    """A limit on file sizes stands in for a full disk: the write itself fails."""
    import resource
    import signal

    before = raw.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (512, hard))
        done = finish(raw)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)
    assert not done.compacted
    assert len(done.warnings) == 1
    assert before == raw.read_bytes()
    assert [raw] == list(raw.parent.iterdir())


def test_cut_recording(raw: Path) -> None:
    """What is left of a cut recording can be finished; that it was cut is not forgotten."""
    starts = offsets(raw)
    raw.write_bytes(raw.read_bytes()[: starts[-4] + 50])
    with Recording.open(raw) as before:
        summary = before.summary
        warnings = before.warnings
    finish(raw)
    with Recording.open(raw) as after:
        assert summary == after.summary
        assert after.truncated_at is None
        assert warnings == after.warnings


def test_killed_collector_stays_unfinished(tmp_path: Path) -> None:
    path = Path(make.example().write(tmp_path / "a.tide", finished=False))
    finish(path)
    with Recording.open(path) as recording:
        assert not recording.finished


def test_later_versions_are_carried_over(tmp_path: Path) -> None:
    """Columns and kinds that this version does not know survive."""
    path = tmp_path / "a.tide"
    build = make.example()
    build.tables[Kind.THREADS].rows[0]["colour"] = 7
    with Writer(path) as writer:
        build.write_chunks(writer)
        writer.chunk(999, {"x": np.array([1, 2, 3])})
    finish(path)
    with Recording.open(path) as recording:
        chunks = [chunk for chunk in recording._chunks.chunks if chunk.kind == 999]
        assert [recording._loader.columns(c)["x"].tolist() for c in chunks] == [[1, 2, 3]]
        assert recording._loader.rows(Kind.THREADS).figures("colour").tolist() == [7, 0]


def test_link_is_followed(raw: Path) -> None:
    """The file behind a symbolic link is rewritten; the link stays one."""
    link = raw.parent / "link.tide"
    link.symlink_to(raw)
    finish(link)
    assert link.is_symlink()
    with Recording.open(raw) as recording:
        assert recording.compacted


def test_no_recording(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="does not exist"):
        finish(tmp_path / "missing.tide")


def test_size_of_a_long_recording(tmp_path: Path) -> None:
    """3,000 slices of 400 contexts and 10 million allocations: at most 0.3 bytes for each."""
    generator = np.random.default_rng(1)
    build = make.Builder()
    build.process()
    for number in range(400):
        build.context(stack=build.stack(build.native(None, number), build.native(None, number + 1)))
    path = tmp_path / "long.tide"
    allocations = 0
    with Writer(path) as writer:
        build.write_chunks(writer)
        for number in range(3000):
            blocks = generator.poisson(generator.exponential(10, 400))
            allocations += int(blocks.sum())
            columns = make.delta_columns(number, number, number + 1, {})
            columns["context"] = np.arange(400)
            columns["blocks_in"] = columns["blocks_out"] = blocks
            columns["bytes_in"] = columns["bytes_out"] = blocks * generator.integers(16, 600, 400)
            columns = {n: c for n, c in columns.items() if len(c)}
            writer.chunk(Kind.DELTAS, columns)
    assert allocations > 10_000_000
    done = finish(path)
    assert done.bytes_after <= 0.3 * allocations
    with Recording.open(path) as recording:
        assert allocations == recording.summary.allocations
        assert len(recording.slices) <= 1000
        assert json.dumps(recording.meta)


def test_totals_are_the_sums(tmp_path: Path) -> None:
    """Where there are many slices their sums are written down, and are what summing gives."""
    build = make.example()
    contexts = list(range(len(build.contexts)))
    for second in range(3, 103):
        changes = {c: make.Change(3 + c, 100 * second, 1, 10, 1, 7, 1, 2) for c in contexts}
        build.slice(second * make.SECOND, (second + 1) * make.SECOND, changes)
    path = build.write(tmp_path / "raw.tide")
    with Recording.open(path) as raw:
        before = raw.totals
        assert raw._loader.totals() is None
    for _ in range(2):  # finished, then symbolized again
        assert finish(path, symbols=False).compacted
        with Recording.open(path) as done:
            written = done._loader.totals()
            assert written is not None
            for name in METRICS:
                expected = getattr(before, name).tolist()
                assert getattr(written, name).tolist() == expected
                assert getattr(done.totals_between(0, len(done.slices)), name).tolist() == expected


def test_few_slices_need_no_totals(tmp_path: Path) -> None:
    path = make.example().write(tmp_path / "raw.tide")
    assert finish(path, symbols=False).compacted
    with Recording.open(path) as done:
        assert done._loader.totals() is None
        assert done.totals.blocks_in.sum() > 0
