"""Stack trees: against a walk from frame to frame in plain Python, and sums that never change."""

from __future__ import annotations

import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.profile.random_recording import random_recording
from tests.recording.make import SECOND, Builder, Change, example

from heaptide.errors import UsageError
from heaptide.profile import (
    COLUMNS,
    METRICS,
    RECURSION,
    TREE_FOLDS,
    Origin,
    Profile,
    StackTree,
    metric,
    metric_figures,
    stack_tree,
)
from heaptide.profile.names import merged_name
from heaptide.recording import Kind, Language, Recording

Path_ = tuple[Any, ...]


def key_of(profile: Profile, by: str, at: int, options: dict[str, Any]) -> Any:
    """What makes two locations one, told by their names."""
    here, texts = profile.locations, profile.locations.texts
    name, file = texts[here.function[at]], texts[here.file[at]]
    if options.get("templates"):
        name = merged_name(name, Language(here.language[at]))
    module = texts[here.module[at]]
    function = ("function", name, file, "" if file else module)
    if by == "module" or here.origin[at] in options.get("merge", ()):
        found = profile.module_of(at)
        # A merged frame is its module, by whatever the others go.
        return ("module", found) if found else ("module of", function)
    if by == "line":
        line = int(here.line[at])
        return ("line", file, line) if file and line else ("line", file, *function)
    if by == "file":
        return ("file", file) if file else ("file", module) if module else function
    return function


def frames_of(profile: Profile, context: int) -> list[int]:
    """Locations of a context's stack, outermost first."""
    if profile.context_site[context] == profile.locations.outside_python:
        return [profile.locations.outside_python]
    node, found = int(profile.context_node[context]), []
    while node >= 0:
        found.append(int(profile.node_location[node]))
        node = int(profile.tree.parent[node])
    return found[::-1]


def path_of(profile: Profile, context: int, by: str, options: dict[str, Any]) -> Path_ | None:
    """The groups from the tree's root to where the context's memory belongs; None: not in it."""
    frames, focus, first = frames_of(profile, context), options.get("focus"), None
    if focus is not None:
        inside = [i for i, at in enumerate(frames) if focus[at]]
        if not inside:
            return None
        first = frames[inside[0]]
        inverted = options.get("inverted")
        frames = frames[: inside[0] + 1] if inverted else frames[inside[0] :]
    origin, hide = profile.locations.origin, options.get("hide", ())
    spared = len(frames) - 1 if options.get("inverted") else 0
    shown = [
        at
        for i, at in enumerate(frames)
        if origin[at] not in hide or (first is not None and i == spared)
    ]
    path: list[Any] = []
    before: Any = None
    recursion, merge = options.get("recursion", "keep"), options.get("merge", ())
    for at in shown:
        key = key_of(profile, by, at, options)
        again = key == before and (recursion == "direct" or origin[at] in merge)
        before = key
        if recursion == "all":
            again = key in path
        if not again:
            path.append(key)
    if options.get("inverted"):
        path.reverse()
    deepest = options.get("deepest")
    return tuple(path if deepest is None else path[:deepest])


def reference(
    profile: Profile, by: str, options: dict[str, Any]
) -> tuple[dict[Path_, list[int]], dict[Path_, list[int]]]:
    """Own and inclusive figures by path."""
    own: dict[Path_, Any] = defaultdict(lambda: np.zeros(len(COLUMNS), np.int64))
    inclusive: dict[Path_, Any] = defaultdict(lambda: np.zeros(len(COLUMNS), np.int64))
    own[()] += 0
    inclusive[()] += 0
    for context in np.flatnonzero(profile.figures.any(axis=1)).tolist():
        path = path_of(profile, context, by, options)
        if path is None:
            continue
        own[path] += profile.figures[context]
        for length in range(len(path) + 1):
            own[path[:length]] += 0
            inclusive[path[:length]] += profile.figures[context]
    return (
        {path: figures.tolist() for path, figures in own.items()},
        {path: figures.tolist() for path, figures in inclusive.items()},
    )


def paths(profile: Profile, by: str, options: dict[str, Any], tree: StackTree) -> list[Path_]:
    """The path of each row, from its parents' and its location."""
    found: list[Path_] = [()]
    for row in range(1, len(tree)):
        parent = int(tree.parent[row])
        assert parent < row
        key = key_of(profile, by, int(tree.location[row]), options)
        found.append((*found[parent], key))
    return found


@st.composite
def all_options(draw: st.DrawFn) -> dict[str, Any]:
    origins = st.sets(st.sampled_from(list(Origin)), max_size=2)
    return {
        "inverted": draw(st.booleans()),
        "hide": draw(origins),
        "merge": draw(origins),
        "recursion": draw(st.sampled_from(RECURSION)),
        "templates": draw(st.booleans()),
        "deepest": draw(st.sampled_from([None, None, 1, 2, 4])),
    }


@given(st.integers(0, 10**9), st.sampled_from(TREE_FOLDS), all_options(), st.data())
@settings(deadline=None, max_examples=150)
def test_it_is_what_a_walk_from_frame_to_frame_finds(
    seed: int, by: str, options: dict[str, Any], data: st.DataObject
) -> None:
    with tempfile.TemporaryDirectory() as directory:
        profile = Profile(random_recording(seed, Path(directory) / "a.tide"))
        if data.draw(st.booleans()):
            functions = profile.locations.function
            options["focus"] = functions == data.draw(st.sampled_from(functions.tolist()))
        tree = stack_tree(profile, by, **options)
        own, inclusive = reference(profile, by, options)
        found = paths(profile, by, options, tree)
        assert len(set(found)) == len(found)
        assert dict(zip(found, tree.own.tolist())) == own
        assert dict(zip(found, tree.inclusive.tolist())) == inclusive
        assert tree.depth.tolist() == [len(path) for path in found]


@given(st.integers(0, 10**9), st.sampled_from(TREE_FOLDS), all_options())
@settings(deadline=None, max_examples=60)
def test_no_option_changes_a_sum(seed: int, by: str, options: dict[str, Any]) -> None:
    """Of each figure the root has what the recorder counted; and each node what is in it."""
    with tempfile.TemporaryDirectory() as directory:
        profile = Profile(random_recording(seed, Path(directory) / "a.tide"))
        tree = stack_tree(profile, by, **options)
        assert tree.inclusive[0].tolist() == profile.totals.tolist()
        assert tree.own.sum(axis=0).tolist() == profile.totals.tolist()
        children = np.zeros_like(tree.inclusive)
        np.add.at(children, tree.parent[1:], tree.inclusive[1:])
        assert (tree.own + children).tolist() == tree.inclusive.tolist()
        for chosen in METRICS.values():
            alone = stack_tree(profile, by, figures=metric_figures(profile, chosen), **options)
            assert alone.inclusive[0, 0] == profile.total_of(chosen)


@given(st.integers(0, 10**9), st.booleans())
@settings(deadline=None, max_examples=40)
def test_rows_are_in_depth_first_order_with_large_siblings_first(seed: int, inverted: bool) -> None:
    with tempfile.TemporaryDirectory() as directory:
        profile = Profile(random_recording(seed, Path(directory) / "a.tide"))
        figures = metric_figures(profile, metric("total"))
        tree = stack_tree(profile, figures=figures, inverted=inverted)
    open_ = [0]
    last: dict[int, int] = {}
    for row in range(1, len(tree)):
        parent, value = int(tree.parent[row]), int(tree.inclusive[row, 0])
        while open_[-1] != parent:
            open_.pop()  # raises where a subtree is not together
        assert value <= last.get(parent, value)
        last[parent] = value
        open_.append(row)


@given(st.integers(0, 10**9), st.booleans(), st.integers(0, 100_000))
@settings(deadline=None, max_examples=60)
def test_small_nodes_are_not_opened(seed: int, inverted: bool, least: int) -> None:
    """What is below them is theirs; all others are as they were."""
    with tempfile.TemporaryDirectory() as directory:
        profile = Profile(random_recording(seed, Path(directory) / "a.tide"))
        figures = metric_figures(profile, metric("total"))
        options = {"inverted": inverted}
        whole = stack_tree(profile, figures=figures, inverted=inverted)
        pruned = stack_tree(profile, figures=figures, inverted=inverted, least=least)
        large = whole.inclusive[:, 0] >= least
        large[0] = True  # the root is always open
        opened = large[whole.parent]
        opened[0] = True
        expected = [
            path for path, row in zip(paths(profile, "function", options, whole), opened) if row
        ]
        assert set(paths(profile, "function", options, pruned)) == set(expected)
        assert sorted(pruned.inclusive.tolist()) == sorted(whole.inclusive[opened].tolist())
        small = pruned.inclusive[:, 0] < least
        small[0] = False
        assert (pruned.own[small] == pruned.inclusive[small]).all()


def names(profile: Profile, tree: StackTree) -> list[tuple[int, str, int, int]]:
    """Depth, function, inclusive and own of the first figure of each row but the root."""
    at = profile.locations
    return [
        (
            int(tree.depth[row]),
            at.texts[at.function[tree.location[row]]],
            int(tree.inclusive[row, 0]),
            int(tree.own[row, 0]),
        )
        for row in range(1, len(tree))
    ]


def test_the_example(tmp_path: Path) -> None:
    profile = Profile(Recording.open(example().write(tmp_path / "a.tide")))
    assert names(profile, stack_tree(profile)) == [
        (1, "<module>", 2000, 0),
        (2, "load", 2000, 1200),
        (3, "work::grow()", 800, 0),
        (4, "std::vector<int>::push_back(int&&)", 800, 800),
    ]
    assert names(profile, stack_tree(profile, inverted=True)) == [
        (1, "load", 1200, 0),
        (2, "<module>", 1200, 1200),
        (1, "std::vector<int>::push_back(int&&)", 800, 0),
        (2, "work::grow()", 800, 0),
        (3, "load", 800, 0),
        (4, "<module>", 800, 800),
    ]


def sandwich(tmp_path: Path) -> Profile:
    """1 byte: main > a > f > f > b;  2: main > c > f > d > f;  4: main > e."""
    build = Builder()
    build.process()
    build.thread()
    main, a, b, c, d, e, f = (build.python(name, f"/{name}.py", 1) for name in "mabcdef")
    stacks = [(main, a, f, f, b), (main, c, f, d, f), (main, e)]
    held = {
        build.context(stack=build.stack(*frames)): (1, 1 << i) for i, frames in enumerate(stacks)
    }
    build.slice(0, SECOND, {context: Change(1, size) for context, (_, size) in held.items()})
    build.peak(held)
    build.finish(SECOND)
    return Profile(Recording.open(build.write(tmp_path / "a.tide")))


def test_one_function_with_what_it_calls_and_who_calls_it(tmp_path: Path) -> None:
    profile = sandwich(tmp_path)
    focus = profile.locations.function == profile.locations.texts.index("f")
    assert names(profile, stack_tree(profile, focus=focus)) == [
        (1, "f", 3, 0),
        (2, "d", 2, 0),
        (3, "f", 2, 2),
        (2, "f", 1, 0),
        (3, "b", 1, 1),
    ]
    assert names(profile, stack_tree(profile, focus=focus, inverted=True)) == [
        (1, "f", 3, 0),
        (2, "c", 2, 0),
        (3, "m", 2, 2),
        (2, "a", 1, 0),
        (3, "m", 1, 1),
    ]


def test_recursion(tmp_path: Path) -> None:
    profile = sandwich(tmp_path)
    found = {
        way: [
            "".join(name for _, name, _, _ in names(profile, stack_tree(profile, recursion=way)))
        ][0]
        for way in RECURSION
    }
    assert found == {"keep": "mecfdfaffb", "direct": "mecfdfafb", "all": "mecfdafb"}


def test_hidden_code_is_charged_to_who_called_it(tmp_path: Path) -> None:
    profile = Profile(Recording.open(example().write(tmp_path / "a.tide")))
    assert names(profile, stack_tree(profile, hide={Origin.LIBRARY})) == [
        (1, "<module>", 2000, 0),
        (2, "load", 2000, 2000),
    ]
    nothing = stack_tree(profile, hide=set(Origin))
    assert (nothing.own.tolist(), len(nothing)) == ([profile.totals.tolist()], 1)


def test_a_library_is_one_frame_where_it_is_merged(tmp_path: Path) -> None:
    profile = Profile(Recording.open(example().write(tmp_path / "a.tide")))
    tree = stack_tree(profile, merge={Origin.LIBRARY})
    assert [(depth, whole) for depth, _, whole, _ in names(profile, tree)] == [
        (1, 2000),
        (2, 2000),
        (3, 800),
    ]
    assert profile.module_of(int(tree.location[3])) == "/usr/lib/libwork.so"


@pytest.mark.parametrize(
    ("name", "language", "merged"),
    [
        ("std::vector<int>::push_back(int&&)", Language.CPP, "std::vector<>::push_back"),
        ("void fill<float>(float*, int)", Language.CPP, "fill<>"),
        ("read(std::vector<int>)", Language.CPP, "read(std::vector<int>)"),
        ("<alloc::vec::Vec<T,A> as core::ops::Drop>::drop", Language.RUST, None),
        ("alloc::vec::Vec<T,A>::push", Language.RUST, "alloc::vec::Vec<>::push"),
        ("f.<locals>.g", Language.PYTHON, "f.<locals>.g"),
        ("malloc", Language.C, "malloc"),
    ],
)
def test_names_without_template_arguments(
    name: str, language: Language, merged: str | None
) -> None:
    assert merged_name(name, language) == (name if merged is None else merged)


def test_unknown_options_are_refused(tmp_path: Path) -> None:
    profile = Profile(Recording.open(example().write(tmp_path / "a.tide")))
    with pytest.raises(UsageError, match="function, line, file, module"):
        stack_tree(profile, "thread")
    with pytest.raises(UsageError, match="keep, direct, all"):
        stack_tree(profile, recursion="never")


def test_nothing_folds_to_a_root(tmp_path: Path) -> None:
    profile = Profile(Recording.open(Builder().write(tmp_path / "a.tide")))
    for inverted in (False, True):
        tree = stack_tree(profile, inverted=inverted)
        assert (len(tree), tree.inclusive.tolist()) == (1, [[0] * len(COLUMNS)])


@pytest.mark.parametrize("inverted", [False, True])
def test_a_stack_of_10000_frames(tmp_path: Path, inverted: bool) -> None:
    """Memory at each of its depths."""
    build = Builder()
    build.process()
    build.thread()
    frames = [build.python(name, "/a.py", i) for i, name in enumerate(("deep", "deeper"), 1)]
    depth = 10_000
    contexts = []
    parent = 0
    for level in range(depth):  # as Builder.stack does, which would do it anew for each depth
        row = build.tables[Kind.STACKS].add(parent=parent, frame=frames[level % 2])
        contexts.append(build.context(stack=row))
        parent = row + 1
    build.slice(0, SECOND, {context: Change(1, 8) for context in contexts})
    build.peak(dict.fromkeys(contexts, (1, 8)))
    build.finish(SECOND)
    profile = Profile(Recording.open(build.write(tmp_path / "a.tide")))
    figures = metric_figures(profile, metric("peak"))
    if not inverted:
        tree = stack_tree(profile, figures=figures)
        assert tree.inclusive[1:, 0].tolist() == list(range(8 * depth, 0, -8))
        return
    tree = stack_tree(profile, figures=figures, inverted=True, deepest=50)
    assert tree.inclusive[0].tolist() == [8 * depth, depth]
    assert int(tree.depth.max()) == 50
    once = stack_tree(profile, figures=figures, inverted=True, recursion="all")
    assert [name for _, name, _, _ in names(profile, once)] == ["deeper", "deep", "deep"]
