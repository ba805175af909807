"""Spans of time on the page: few enough, without gaps, and true to the slices they are made of."""

from __future__ import annotations

import random
import tempfile
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.profile.random_recording import random_recording
from tests.recording.make import SECOND, Builder, Change

from heaptide.profile import LEAKED, Profile
from heaptide.recording import Births, Recording
from heaptide.views.page.bins import CHANGES, Focus, changes_of, edges_of
from heaptide.views.page.gather import tables_of

CONTEXTS = 5


def uneven(seed: int, slices: int) -> Builder:
    """Slices of very different lengths, some with gaps before them."""
    chance = random.Random(seed)
    make = Builder()
    make.process()
    make.thread()
    contexts = [
        make.context(0, make.stack(make.python(f"f{n}", "/home/u/a.py", 1)))
        for n in range(CONTEXTS)
    ]
    time = 0
    for _ in range(slices):
        time += chance.choice([0, 0, SECOND])
        end = time + chance.choice([1, 1000, SECOND, 60 * SECOND])
        changes = {
            context: Change(*(chance.randrange(5) for _ in Change._fields))
            for context in chance.sample(contexts, chance.randrange(CONTEXTS))
        }
        make.slice(time, end, changes)
        time = end
    return make


@given(st.integers(0, 10**9), st.integers(0, 60), st.integers(1, 40), st.data())
@settings(max_examples=40, deadline=None)
def test_bins_are_runs_of_slices(seed: int, slices: int, most: int, data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        recording = Recording.open(uneven(seed, slices).write(Path(folder) / "a.tide"))
        ends = recording.slices.end.tolist()
        moments = sorted(data.draw(st.lists(st.sampled_from(ends), max_size=3))) if ends else []
        births = Births.empty()
        vars(recording)["births"] = Births(*{**vars(births), "times": np.array(moments)}.values())
        # The first context is left out, the next two are one sample.
        number = np.array([-1, 0, 0, 1, 2], np.int32)[: len(recording.contexts)]
        changes = changes_of(recording, number, edges_of(recording, most))
        assert len(changes) <= max(most, len(moments) + 1)
        assert (len(changes) > 0) == (slices > 0)
        starts, stops = changes.start.tolist(), changes.end.tolist()
        assert set(stops) <= set(ends) and sorted(set(stops)) == stops
        assert starts[:1] == [0] * bool(slices)
        assert all(moment in stops for moment in moments)
        first = 0
        for index, stop in enumerate(stops):
            after = ends.index(stop) + 1
            sums = recording.totals_between(first, after)
            rows = slice(int(changes.offsets[index]), int(changes.offsets[index + 1]))
            sample = changes.sample[rows]
            assert np.all(np.diff(sample) > 0)
            for name in CHANGES:
                wanted = np.zeros(3, np.int64)
                np.add.at(wanted, number[1:], getattr(sums, name)[1:])
                found = np.zeros(3, np.int64)
                found[sample] = changes.columns[name][rows]
                assert found.tolist() == wanted.tolist()
            assert all(
                any(changes.columns[n][rows][i] for n in CHANGES) for i in range(len(sample))
            )
            first = after
        assert first == slices
        recording.close()


@given(st.integers(0, 10**9))
@settings(max_examples=25, deadline=None)
def test_pages_of_one_process(seed: int) -> None:
    """Each has the figures and the changes of its own contexts."""
    with tempfile.TemporaryDirectory() as folder:
        recording = random_recording(seed, Path(folder) / "a.tide")
        for row in range(len(recording.processes)):
            profile = Profile(recording, [row])
            tables, _ = tables_of(profile, bins=240, samples=10**6)
            wanted = profile.figures_for(LEAKED).sum(axis=0)
            assert tables.new.figures.sum(axis=0).tolist() == wanted.tolist()
            assert set(tables.process.tolist()) <= {row}
            own = recording.contexts.counted & (recording.contexts.process == row)
            changed = tables.new.changes.columns["bytes_out"].astype(np.int64).sum()
            assert int(changed) == int(recording.totals.bytes_out[own].sum())
        recording.close()


@given(st.integers(0, 10**9), st.integers(0, 60), st.integers(1, 40), st.data())
@settings(max_examples=60, deadline=None)
def test_spans_are_finer_where_it_is_asked(
    seed: int, slices: int, most: int, data: st.DataObject
) -> None:
    """All edges stay, a cut is one, and nothing is lost."""
    with tempfile.TemporaryDirectory() as folder:
        recording = Recording.open(uneven(seed, slices).write(Path(folder) / "a.tide"))
        length = recording.summary.duration_ns
        times = st.integers(0, length + SECOND)
        start, end = sorted((data.draw(times), data.draw(times)))
        bounds = [0, *recording.slices.start.tolist(), *recording.slices.end.tolist()]
        cut = data.draw(st.sampled_from(bounds))
        even = edges_of(recording, most)
        edges = edges_of(recording, most, Focus(start, end, (cut,)))
        assert set(even.tolist()) <= set(edges.tolist())
        assert len(edges) <= len(even) + most + 4
        number = np.arange(len(recording.contexts), dtype=np.int32)
        changes = changes_of(recording, number, edges)
        if not len(even) > 1:
            return
        assert cut == 0 or cut in [*changes.start.tolist(), *changes.end.tolist()]
        for name in CHANGES:
            whole = getattr(recording.totals, name).sum()
            assert changes.columns[name].sum() == whole


def test_each_slice_is_a_span_where_there_is_room(tmp_path: Path) -> None:
    make = Builder()
    make.process()
    make.thread()
    context = make.context(0, make.stack(make.python("f", "/home/u/a.py", 1)))
    for second in range(1000):
        make.slice(second * SECOND, (second + 1) * SECOND, {context: Change(1, 1)})
    make.finish(1000 * SECOND)
    recording = Recording.open(make.write(tmp_path / "a.tide"))
    edges = edges_of(recording, 240, Focus(300 * SECOND, 500 * SECOND, (7 * SECOND,)))
    assert set(range(300, 501)) <= set(edges.tolist())
    assert 7 in edges
    assert len(edges) < 240 + 200
