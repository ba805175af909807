"""Pages that are too large: what goes first, and that nothing is lost of any sum."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.recording.make import SECOND, Builder, Change

from heaptide.profile import Profile
from heaptide.recording import Births as Recorded
from heaptide.recording import Recording
from heaptide.views.page import build, html
from heaptide.views.page.blob import decode
from heaptide.views.page.gather import tables_of
from heaptide.views.page.shrink import FOLDED, folded, node_importance
from heaptide.views.page.tables import Births, Tables


def uneven() -> Builder:
    """3,000 stacks below two functions of one's own: a few with most, the others with little and
    no two the same; over 240 seconds."""
    chance = random.Random(1)
    make = Builder()
    make.process()
    make.thread()
    contexts = []
    for number in range(3000):
        outer = make.python(("load", "save")[number % 2], "/home/u/app.py", 1 + number % 2)
        name = f"f{chance.randrange(10**9)}"
        inner = make.python(name, "/v/lib/python3.11/site-packages/a/b.py", number)
        contexts.append(make.context(0, make.stack(outer, inner)))
        make.sizes(contexts[-1], [chance.randrange(99), chance.randrange(99)])
        make.lifetimes(contexts[-1], [chance.randrange(99)], [chance.randrange(99)])
    for second in range(240):
        changes = {}
        for number in chance.sample(range(3000), 100):
            size = ((1 << 24) >> number) + chance.randrange(1, 999)
            changes[contexts[number]] = Change(2, 2 * size, 1, size)
        make.slice(second * SECOND, (second + 1) * SECOND, changes)
    make.finish(240 * SECOND)
    return make


@pytest.fixture(scope="module")
def profile(tmp_path_factory: pytest.TempPathFactory) -> Profile:
    return Profile(Recording.open(uneven().write(tmp_path_factory.mktemp("shrink") / "a.tide")))


def test_steps_of_time_first_then_stacks(profile: Profile) -> None:
    """The page stays below its bound, not far below, and says what it lacks."""
    whole = len(build(profile).html())
    overhead = html.overhead()
    lost: list[int] = []
    for part in (0.9, 0.6, 0.4, 0.2, 0.1, 0.06):
        most = overhead + int((whole - overhead) * part)
        page = build(profile, most=most)
        header, columns, texts = decode(page.data)
        assert len(page.html()) <= most
        assert header["folded"] == page.folded != []
        assert int(columns["change.bytes_in"].sum()) == profile.recording.summary.total_bytes
        assert page.folded[0].startswith("time is shown in ")
        assert (FOLDED in texts) == ("[folded]" in page.folded[-1])
        if FOLDED in texts:
            assert len(page.html()) > overhead + 0.7 * (most - overhead)
            inside = columns["location.function"] == texts.index(FOLDED)
            at_site = inside[columns["sample.site"]][columns["change.sample"]]
            lost.append(int(columns["change.bytes_in"][at_site].sum()))
    assert lost == sorted(lost) and len(lost) >= 3
    assert lost[0] < profile.recording.summary.total_bytes * 0.01  # the smallest went first


def test_a_comparison_is_kept_below_its_bound(profile: Profile, tmp_path: Path) -> None:
    """Both recordings' time is coarser alike; no change of either is lost."""
    make = uneven()
    make.slices = make.slices[:100]
    with Recording.open(make.write(tmp_path / "old.tide")) as recording:
        older = Profile(recording)
        whole = len(build(profile, older).html())
        overhead = html.overhead()
        steps = []
        for part in (1.1, 0.6, 0.4, 0.1):
            most = overhead + int((whole - overhead) * part)
            page = build(profile, older, most=most)
            header, columns, texts = decode(page.data)
            assert len(page.html()) <= most
            assert header["folded"] == page.folded
            assert (FOLDED in texts) == ("[folded]" in "".join(page.folded))
            for prefix, side in (("", profile), ("base.", older)):
                totals = side.recording.totals
                for name in ("bytes_in", "bytes_out", "blocks_in"):
                    assert columns[f"{prefix}change.{name}"].sum() == getattr(totals, name).sum()
            steps.append((len(columns["bin.start"]), len(columns["base.bin.start"])))
            if part < 1:
                assert f"time is shown in {steps[-1][0]} steps" in page.folded
        assert steps[0][0] > 200 and steps[0][1] == 100
        assert all(a > b for a, b in zip(steps[0], steps[-1]))
        assert all(few >= 15 for pair in steps for few in pair)


def test_the_sites_around_what_is_folded_stay(profile: Profile) -> None:
    """Memory that one's own function has asked a library for is still its own."""
    tables, _ = tables_of(profile, bins=1, samples=10**6)
    shrunk = folded(tables, node_importance(tables) < 0.01)
    assert len(shrunk.parent) < len(tables.parent) / 10
    assert by_site(shrunk) == by_site(tables)
    everything = folded(tables, np.ones(len(tables.parent), np.bool_))
    assert by_site(everything) == {FOLDED: int(tables.new.figures[:, 4].sum())}


def by_site(tables: Tables) -> dict[str, int]:
    found: dict[str, int] = {}
    functions = tables.places["function"][tables.place[tables.site]]
    for function, size in zip(functions.tolist(), tables.new.figures[:, 4].tolist()):
        name = tables.texts[function]
        found[name] = found.get(name, 0) + size
    return found


@given(st.integers(1, 12), st.data())
@settings(deadline=None)
def test_coarser_births_tell_the_same(moments: int, data: st.DataObject) -> None:
    """What was born in a span and lives on, for the spans between moments that are left."""
    cells = st.tuples(
        st.integers(0, 3), st.integers(0, moments - 1), st.integers(1, moments), st.integers(1, 99)
    )
    rows = [row for row in data.draw(st.lists(cells, max_size=20)) if row[1] < row[2]]
    sample, born, died, blocks = np.array(rows, np.int64).reshape(-1, 4).T
    births = Births(np.arange(moments) * 10, sample, born, died, blocks, blocks * 8)
    coarse = births.coarser()
    assert coarse.time[-1] == births.time[-1]
    assert set(coarse.time.tolist()) <= set(births.time.tolist())
    for first in range(len(coarse.time)):
        for last in range(first, len(coarse.time)):
            fine = [births.time.tolist().index(coarse.time[i]) for i in (first - 1, last)]
            start = fine[0] + 1 if first else 0
            wanted = Recorded(*vars(births).values()).survivors(4, start, fine[1])
            found = Recorded(*vars(coarse).values()).survivors(4, first, last)
            assert found.bytes.tolist() == wanted.bytes.tolist()
            assert found.blocks.tolist() == wanted.blocks.tolist()
