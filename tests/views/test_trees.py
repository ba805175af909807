"""Trees as text: which branches are shown, how they hang together, and what is left out."""

from __future__ import annotations

import io
import re
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from tests.profile.random_recording import random_recording
from tests.recording.make import SECOND, Builder, Change, example

from heaptide.profile import METRICS, Profile, Selection, StackTree
from heaptide.recording import Recording
from heaptide.views import text
from heaptide.views.treeoptions import TreeOptions
from heaptide.views.trees import Segment, chain, outline, prefixes


def tree(parents: list[int], own: list[int]) -> StackTree:
    """Rows in depth-first order, the root first."""
    inclusive = np.array(own, np.int64)
    for row in range(len(parents) - 1, 0, -1):
        inclusive[parents[row]] += inclusive[row]
    depth = [0] * len(parents)
    for row in range(1, len(parents)):
        depth[row] = depth[parents[row]] + 1
    columns = np.array([parents, depth], np.int64)
    where = np.arange(len(parents)) - 1
    figures = np.array(own, np.int64)[:, np.newaxis]
    return StackTree(
        columns[0], columns[1], where, where, figures, inclusive[:, np.newaxis], inverted=False
    )


def spans(segments: list[Segment]) -> list[tuple[int, int, int]]:
    return [(segment.first, segment.last, segment.parent) for segment in segments]


def test_chains_are_segments() -> None:
    """root > 1 > 2 > (3 > 4 > 5, 6): the chain 3 to 5 is one, as is 1 to 2."""
    found = tree([-1, 0, 1, 2, 3, 4, 2], [0, 0, 0, 0, 0, 7, 3])
    assert spans(outline(found, 1, 0)) == [(1, 2, -1), (3, 5, 0), (6, 6, 0)]
    assert spans(outline(found, 4, 0)) == [(1, 2, -1), (3, 5, 0)]


def test_a_chain_ends_where_memory_stays() -> None:
    found = tree([-1, 0, 1, 2], [0, 0, 5, 5])
    assert spans(outline(found, 1, 0)) == [(1, 2, -1), (3, 3, 0)]


def test_lines_limit_to_the_largest() -> None:
    found = tree([-1, 0, 1, 1, 1, 0], [0, 0, 50, 30, 10, 40])
    assert spans(outline(found, 1, 3)) == [(1, 1, -1), (2, 2, 0), (5, 5, -1)]
    assert spans(outline(found, 1, 1)) == [(1, 1, -1)]
    assert outline(tree([-1], [0]), 1, 10) == []


def test_long_chains_show_their_ends() -> None:
    none = np.zeros(10_001, np.bool_)
    assert chain(Segment(1, 3, -1), none) == [1, 2, 3]
    assert chain(Segment(1, 5, -1), none) == [1, 2, 3, 4, 5]
    assert chain(Segment(1, 6, -1), none) == [1, 2, -2, 5, 6]
    assert chain(Segment(3, 10_000, -1), none) == [3, 4, -9_994, 9_999, 10_000]


def test_ones_own_code_is_not_shortened_away() -> None:
    """What can be changed is shown wherever in a chain it is, unless there is much of it."""
    own = np.zeros(100, np.bool_)
    own[[1, 6, 8]] = True
    assert chain(Segment(1, 12, -1), own) == [1, 2, -3, 6, 7, 8, -2, 11, 12]
    own[:] = True
    assert chain(Segment(1, 50, -1), own) == [1, 2, -46, 49, 50]


def test_branches_are_marked_and_only_children_are_not() -> None:
    segments = [Segment(i, i, parent) for i, parent in enumerate([-1, 0, 1, 1, 0, 4])]
    assert prefixes(segments, ("+ ", "L ", "| ")) == [
        ("", ""),
        ("+ ", "| "),
        ("| + ", "| | "),
        ("| L ", "|   "),
        ("L ", "  "),
        ("  ", "  "),
    ]


@given(st.integers(0, 10**9), st.integers(0, 3000), st.integers(0, 12))
@settings(deadline=None, max_examples=60)
def test_any_outline_is_closed_and_in_order(seed: int, least: int, lines: int) -> None:
    with tempfile.TemporaryDirectory() as directory:
        profile = Profile(random_recording(seed, Path(directory) / "a.tide"))
        found = TreeOptions("callees", hide=()).tree(profile, METRICS["total"], 0.0)
    segments = outline(found, least, lines)
    shown = {0}
    for number, segment in enumerate(segments):
        assert segment.parent < number
        above = int(found.parent[segment.first])
        assert above in shown
        if segment.parent >= 0:
            assert segments[segment.parent].first <= above <= segments[segment.parent].last
        else:
            assert above == 0
        for row in range(segment.first, segment.last + 1):
            assert found.inclusive[row, 0] == found.inclusive[segment.first, 0] >= max(least, 1)
            assert row == segment.first or found.parent[row] == row - 1
            shown.add(row)
    if not lines:
        assert shown == {0, *np.flatnonzero(found.inclusive[:, 0] >= max(least, 1)).tolist()}
    elif len(segments) > 1:
        assert sum(min(one.last - one.first + 1, 5) for one in segments) <= lines


def printed(
    profile: Profile, options: TreeOptions, encoding: str = "utf-8", width: int = 80, **how: float
) -> list[str]:
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding=encoding, newline="")
    least = how.get("least", 0.01)
    top = int(how.get("top", 40))
    text.show_views(
        profile, METRICS["peak"], tree=options, file=file, width=width, least=least, top=top
    )
    file.flush()
    return raw.getvalue().decode(encoding).split("\n")


def rows(lines: list[str]) -> list[list[str]]:
    return [re.split("  +", line.strip()) for line in lines if re.match(r" *[<\d.]+ %", line)]


@pytest.fixture
def profile(tmp_path: Path) -> Profile:
    return Profile(Recording.open(example().write(tmp_path / "a.tide")))


def test_callees(profile: Profile) -> None:
    lines = printed(profile, TreeOptions("callees"), width=120)
    assert rows(lines) == [
        ["100.0 %", "2.0 kB", "everything"],
        ["100.0 %", "2.0 kB", "app.py", "/home/user/app.py:1"],
        ["100.0 %", "2.0 kB", "1.2 kB", "load", "/home/user/app.py:12"],
        ["40.0 %", "800 B", "work::grow", "/src/work.cpp:33"],
        [
            "40.0 %",
            "800 B",
            "800 B",
            "std::vector<int>::push_back",
            "/usr/include/vector:80",
        ],
    ]
    assert "At peak: what calls what, by function" in lines
    assert lines[lines.index("At peak: what calls what, by function") + 1].startswith(
        "straight runs are not indented; lines are where most of it is; frames of the "
    )
    assert not any("left out" in line for line in lines)


def test_callers_of_one_function(profile: Profile) -> None:
    chosen = Profile(profile.recording, Selection(functions=("grow",)))
    lines = printed(chosen, TreeOptions("callers"), width=120)
    assert [row[2] for row in rows(lines)] == ["everything", "work::grow", "load", "app.py"]
    assert "At peak: who calls grow, by function" in lines


def test_what_is_left_out_is_said(tmp_path: Path) -> None:
    build = Builder()
    build.process()
    build.thread()
    held = {}
    for i in range(10):
        stack = build.stack(build.python(f"f{i}", "/a.py", i + 1))
        held[build.context(stack=stack)] = (1, 1000 if i == 0 else 10)
    changes = {context: Change(1, size) for context, (_, size) in held.items()}
    gone = build.context(stack=build.stack(build.python("gone", "/a.py", 99)))
    changes[gone] = Change(1, 5, 1, 5)  # before the peak: nothing that could be shown
    build.slice(0, SECOND, changes)
    build.peak(held)
    build.finish(SECOND)
    profile = Profile(Recording.open(build.write(tmp_path / "a.tide")))
    lines = printed(profile, TreeOptions("callees"), least=0.5)
    assert [row[-2] for row in rows(lines)][1:] == ["f0"]
    assert "left out: 90 B in 9 smaller branches: see" in " ".join(lines)
    assert "--least 0" in " ".join(lines)
    lines = printed(profile, TreeOptions("callees"), least=0.0, top=0)
    assert len(rows(lines)) == 11
    assert not any("left out" in line for line in lines)
    assert len(rows(printed(profile, TreeOptions("callees"), least=0.0, top=4))) == 5


def test_a_deep_chain_fits_and_says_how_long_it_is(tmp_path: Path) -> None:
    build = Builder()
    build.process()
    build.thread()
    frames = [build.python(f"f{i}", "/a.py", i + 1) for i in range(3)]
    stack = build.stack(*(frames * 3334)[:10_000])
    build.slice(0, SECOND, {build.context(stack=stack): Change(1, 8)})
    build.peak({0: (1, 8)})
    build.finish(SECOND)
    profile = Profile(Recording.open(build.write(tmp_path / "a.tide")))
    for direction in ("callees", "callers"):
        lines = printed(profile, TreeOptions(direction))
        assert any("… 9,996 more frames" in line for line in lines)
        assert len(rows(lines)) == 5
        whole = printed(profile, TreeOptions(direction, recursion="all"))
        assert len(rows(whole)) == 4


@given(
    st.integers(0, 10**9),
    st.sampled_from(["utf-8", "ascii", "latin-1"]),
    st.sampled_from(["callees", "callers"]),
    st.sampled_from(["function", "line", "file", "module"]),
    st.sampled_from([40, 80]),
)
@settings(deadline=None, max_examples=40)
def test_any_tree_fits(seed: int, encoding: str, direction: str, by: str, width: int) -> None:
    with tempfile.TemporaryDirectory() as directory:
        profile = Profile(random_recording(seed, Path(directory) / "a.tide"))
        options = TreeOptions(direction, by, hide=(), merge=("library",), templates=True)
        lines = printed(profile, options, encoding, width, least=0.0, top=0)
        assert max(map(cell_len, lines)) <= width
        assert not [line for line in lines if line != line.rstrip()]
        if profile.totals[0]:
            assert rows(lines)[0][-1].startswith("every")
        else:
            assert "nothing" in lines


def test_what_is_below_a_row_is_not_left_out(tmp_path: Path) -> None:
    """Its figure is in the row's; only what no row shows is counted."""
    build = Builder()
    build.process()
    build.thread()
    outer, lone = (build.python(name, "/home/u/a.py", 1) for name in ("outer", "lone"))
    held = {build.context(stack=build.stack(lone)): (1, 7)}
    for number in range(3):
        inner = build.python(f"inner{number}", "/home/u/a.py", 10 + number)
        held[build.context(stack=build.stack(outer, inner))] = (1, 50 - number)
    build.slice(0, SECOND, {context: Change(1, size) for context, (_, size) in held.items()})
    build.peak(held)
    build.finish(SECOND)
    profile = Profile(Recording.open(build.write(tmp_path / "a.tide")))
    lines = " ".join(printed(profile, TreeOptions("callees"), top=1))
    assert "left out: 7 B in 1 smaller branch and 3 smaller branches of those above" in lines
    lines = " ".join(printed(profile, TreeOptions("callees"), least=0.1))
    assert "left out: 7 B in 1 smaller branch: see" in lines
    lines = " ".join(printed(profile, TreeOptions("callees"), top=2))
    assert "left out: 7 B in 1 smaller branch and 2 smaller branches of those above" in lines
