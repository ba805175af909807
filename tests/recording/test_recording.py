"""Tables and figures of a recording."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from heaptide.recording import (
    ALL_PROCESSES,
    ContextKind,
    FrameKind,
    Kind,
    Language,
    Recording,
    SpecialFrame,
    Writer,
)
from tests.recording import make
from tests.recording.make import SECOND, Change


@pytest.fixture
def example(tmp_path: Path) -> Recording:
    return Recording.open(make.example().write(tmp_path / "example.tide"))


def test_summary(example: Recording) -> None:
    """The figures that make.example() states; arenas are in none of them."""
    summary = example.summary
    assert summary.duration_ns == 3 * SECOND
    assert (summary.allocations, summary.deallocations, summary.reallocations) == (30, 24, 3)
    assert (summary.total_bytes, summary.copied_bytes) == (3300, 100)
    assert (
        summary.peak_bytes,
        summary.peak_blocks,
        summary.peak_time_ns,
    ) == (2000, 20, 3 * SECOND // 2)
    assert summary.peak_exact
    assert summary.peak_rss_bytes == 50 << 20
    assert (summary.alive_at_exit_bytes, summary.alive_at_exit_blocks) == (600, 6)
    assert (summary.temporary, summary.short_lived) == (5, 8)
    assert (summary.processes, summary.threads) == (1, 2)


def test_tables(example: Recording) -> None:
    assert example.command_of(0) == ["python3", "app.py"]
    assert example.processes.exe[0] == "/usr/bin/python3"
    assert example.processes.parent.tolist() == [-1]
    assert list(example.threads.name) == ["MainThread", "worker"]
    assert example.modules.path[0] == "/usr/lib/libwork.so"
    assert [0, 0, -1][:2] == example.frames.ref.tolist()[::2]
    assert example.stacks.parent.tolist() == [-1, 0, 1]
    assert example.stack_frames(2) == [2, 1, 0]
    assert example.contexts.counted.tolist() == [True, True, False]
    assert list(example.marks.name) == ["loaded"]
    assert list(example.notes.text) == ["one thing to know"]
    assert example.end is not None
    assert (example.end.reason, example.end.time) == ("finished", 3 * SECOND)
    assert example.finished
    assert not example.compacted
    assert example.lifetimes.by_allocations.shape == (2, 8)
    assert example.sizes.counts[0].tolist() == [0, 0, 0, 23, 0, 0, 0, 0, 0, 0, 0, 0]
    assert np.diff(example.symbols.offsets)[[2, 0]].tolist() == [2, 1]  # type: ignore[union-attr]


def test_figures_over_time(example: Recording) -> None:
    """Live heaps at the ends of slices; between two ends it is the earlier one's."""
    counted = example.contexts.counted
    for time, expected in (
        (0, 0),
        (SECOND - 1, 0),
        (SECOND, 800),
        (2 * SECOND, 1700),
        (3 * SECOND, 600),
        (99 * SECOND, 600),
    ):
        assert expected == int(example.live_at(time).bytes[counted].sum())
    assert example.totals_between(1, 2).allocations.tolist() == [8, 7, 0]
    assert example.deltas().offsets.tolist() == [0, 2, 4, 6]
    assert example.deltas(2).bytes_out.tolist() == [1200, 400]
    alone = example.timeline.of(ALL_PROCESSES)
    assert alone.live_bytes.tolist() == [800, 1700, 600]


def test_peak(example: Recording) -> None:
    for process in (ALL_PROCESSES, 0):
        peak = example.peak_of(process)
        assert peak.bytes.tolist() == [1200, 800, 1 << 20]
        assert peak.blocks.tolist() == [12, 8, 1]
        assert peak.exact


@pytest.mark.parametrize(
    ("config", "interval"),
    [
        ({"sample_interval": 524288}, 524288),
        ({"sample_interval": 1}, 0),  # as the recorder takes it: every allocation
        ({"sample_interval": "1"}, 0),
        ({}, 0),
        (None, 0),
    ],
)
def test_sample_interval(tmp_path: Path, config: object, interval: int) -> None:
    build = make.example()
    build.meta["config"] = config
    assert Recording.open(build.write(tmp_path / "a.tide")).sample_interval == interval


def test_peak_without_its_chunk(tmp_path: Path) -> None:
    """A recording cut before its first peak is judged by the ends of its slices, and says so."""
    build = make.example()
    build.tables[Kind.PEAK].rows.clear()
    recording = Recording.open(build.write(tmp_path / "a.tide"))
    summary = recording.summary
    assert (
        summary.peak_bytes,
        summary.peak_time_ns,
        summary.peak_exact,
    ) == (1700, 2 * SECOND, False)


def test_names(example: Recording, tmp_path: Path) -> None:
    """Frames read by their symbols; innermost inlined functions come first."""
    names = example.frame_names()
    assert [name.function for name in names[0]] == ["<module>"]
    assert names[1][0][:4] == ("load", "/home/user/app.py", 12, 5)
    assert [n.function for n in names[2]] == ["std::vector<int>::push_back(int&&)", "work::grow()"]
    assert {Language.CPP} == {n.language for n in names[2]}
    with pytest.raises(IndexError):
        names[3]


def test_names_without_symbols(tmp_path: Path) -> None:
    """Python frames are decoded on the spot; native ones are addresses in their modules."""
    build = make.example()
    build.tables[Kind.SYMBOLS].rows.clear()
    build.native(None, 0xABC)
    build.special(SpecialFrame.CUT_OFF)
    build.special(SpecialFrame.NO_STACK)
    recording = Recording.open(build.write(tmp_path / "a.tide"))
    assert recording.symbols is None
    found = [names[0] for names in recording.frame_names()]
    assert [name.function for name in found] == [
        "<module>",
        "load",
        "0x1234 in libwork.so",
        "0xabc",
        "[stack cut off here]",
        "[no stack recorded]",
    ]
    assert [name.resolved for name in found] == [True, True, False, False, False, False]
    assert (
        found[1].file,
        found[1].line,
        found[1].language,
    ) == ("/home/user/app.py", 10, Language.PYTHON)


def test_merged_slices(tmp_path: Path) -> None:
    """A merged slice takes its first part's number and covers the others, here one that a crash
    kept from being voided."""
    path = tmp_path / "a.tide"
    build = make.Builder()
    build.process()
    context = build.context(stack=build.stack(build.native(None, 1)))
    with Writer(path) as writer:
        build.write_chunks(writer)
        for number, (start, end, blocks) in enumerate([(0, 10, 1), (10, 20, 2), (20, 30, 4)]):
            change = {context: Change(blocks_in=blocks)}
            writer.chunk(Kind.DELTAS, make.delta_columns(number, start, end, change))
        merged = make.delta_columns(0, 0, 20, {context: Change(blocks_in=3)})
        writer.chunk(Kind.DELTAS, merged, supersedes=True)
        again = make.delta_columns(2, 20, 30, {context: Change(blocks_in=8)})
        writer.chunk(Kind.DELTAS, again, supersedes=True)
    recording = Recording.open(path)
    assert list(zip(recording.slices.start, recording.slices.end)) == [(0, 20), (20, 30)]
    assert recording.totals.blocks_in.tolist() == [11]


def test_prefix_without_referents(tmp_path: Path) -> None:
    """Contexts whose process, thread or stack was cut off refer to blank rows, and still count."""
    build = make.Builder()
    build.context(process=7, stack=9, thread=5)
    build.slice(0, SECOND, {0: Change(blocks_in=3, bytes_in=30), 99: Change(blocks_in=1)})
    recording = Recording.open(build.write(tmp_path / "a.tide"))
    assert recording.summary.allocations == 3
    assert recording.contexts.process.tolist() == [0]
    assert list(recording.processes.exe) == [""]
    assert recording.contexts.thread.tolist() == [-1]
    names = recording.frame_names()
    [frame] = recording.stack_frames(int(recording.contexts.stack[0]))
    assert recording.frames.kind[frame] == FrameKind.SPECIAL
    assert names[frame][0].function == "[no stack recorded]"
    assert len(recording.warnings) == 1


changes = st.builds(Change, *[st.integers(0, 2**40) for _ in Change._fields])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.lists(st.dictionaries(st.integers(0, 5), changes), max_size=6),
    st.lists(st.sampled_from(list(ContextKind)), min_size=6, max_size=6),
    st.sampled_from([None, 3]),
)
def test_round_trip(
    tmp_path_factory: pytest.TempPathFactory,
    slices: list[dict[int, Change]],
    kinds: list[ContextKind],
    level: int | None,
) -> None:
    """Whatever is written reads back, and totals are the sums."""
    build = make.Builder()
    build.process()
    for number, kind in enumerate(kinds):
        build.context(stack=build.stack(build.native(None, number)), kind=kind)
    for number, change in enumerate(slices):
        build.slice(number * SECOND, (number + 1) * SECOND, change)
    path = tmp_path_factory.mktemp("round") / "a.tide"
    recording = Recording.open(build.write(path, level=level))
    assert len(slices) == len(recording.slices)
    for name in Change._fields:
        expected = [sum(getattr(s[c], name) for s in slices if c in s) for c in range(6)]
        assert expected == getattr(recording.totals, name).tolist()
    assert [int(kind) for kind in kinds] == recording.contexts.kind.tolist()
    counted = [c for c in range(6) if kinds[c] != ContextKind.ARENA]
    bytes_in = sum(s[c].bytes_in for s in slices for c in counted if c in s)
    assert bytes_in == recording.summary.total_bytes


texts = st.lists(st.text(), max_size=20)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(texts, max_size=3))
def test_strings(tmp_path_factory: pytest.TempPathFactory, parts: list[list[str]]) -> None:
    """Strings count over all chunks; what is not UTF-8 is shown escaped and kept raw."""
    path = tmp_path_factory.mktemp("strings") / "a.tide"
    with Writer(path) as writer:
        for part in parts:
            joined = [text.encode("utf-8", "surrogatepass") for text in part]
            lengths = np.array([len(text) for text in joined], np.int64)
            writer.chunk(Kind.STRINGS, {"s_len": lengths, "s_bytes": b"".join(joined)})
    recording = Recording.open(path)
    expected = [text for part in parts for text in part]
    assert len(expected) == len(recording.strings)
    for number, text in enumerate(expected[1:], 1):
        assert text.encode("utf-8", "surrogatepass") == recording.strings.raw(number)
    assert "" == recording.strings[0] == recording.strings[10**9] == recording.strings[-1]


def test_name_that_is_not_utf8(tmp_path: Path) -> None:
    path = tmp_path / "a.tide"
    with Writer(path) as writer:
        writer.chunk(Kind.STRINGS, {"s_len": np.array([0, 3]), "s_bytes": b"a\xffb"})
    strings = Recording.open(path).strings
    assert strings[1] == "a\\xffb"
    assert strings.raw(1) == b"a\xffb"
