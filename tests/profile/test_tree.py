"""Tree: what NumPy computes at once is what a walk from node to node finds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heaptide.profile import Tree, expand


@st.composite
def forests(draw: st.DrawFn) -> list[int]:
    """Parents (-1: outermost) of nodes in any order."""
    n = draw(st.integers(0, 40))
    parents = [draw(st.integers(-1, node - 1)) for node in range(n)]
    order = draw(st.permutations(range(n)))
    shuffled = [0] * n
    for node, parent in enumerate(parents):
        shuffled[order[node]] = order[parent] if parent >= 0 else -1
    return shuffled


def ancestors(parents: list[int], node: int) -> list[int]:
    """The node and all above it, innermost first."""
    found = []
    while node >= 0:
        found.append(node)
        node = parents[node]
    return found


def tree(parents: list[int]) -> Tree:
    return Tree(np.array(parents, np.int64))


@given(forests())
def test_depth_counts_ancestors(parents: list[int]) -> None:
    expected = [len(ancestors(parents, node)) - 1 for node in range(len(parents))]
    assert expected == tree(parents).depth.tolist()


@given(forests(), st.data())
def test_nearest_is_the_first_wanted_on_the_way_out(
    parents: list[int], data: st.DataObject
) -> None:
    n = len(parents)
    wanted = data.draw(st.lists(st.booleans(), min_size=n, max_size=n))
    expected = [
        next((above for above in ancestors(parents, node) if wanted[above]), -1)
        for node in range(n)
    ]
    assert expected == tree(parents).nearest(np.array(wanted, np.bool_)).tolist()


@given(forests(), st.data())
def test_inclusive_sums_subtrees(parents: list[int], data: st.DataObject) -> None:
    n = len(parents)
    own = data.draw(st.lists(st.integers(-(2**40), 2**40), min_size=n, max_size=n))
    expected = [0] * n
    for node in range(n):
        for above in ancestors(parents, node):
            expected[above] += own[node]
    found = tree(parents).inclusive(np.array(own, np.int64))
    assert expected == found.tolist()
    two = np.array([[x, 2 * x] for x in own], np.int64).reshape(n, 2)
    assert [[x, 2 * x] for x in expected] == tree(parents).inclusive(two).tolist()


@given(forests(), st.data())
def test_outermost_is_the_first_of_its_key_from_the_outside(
    parents: list[int], data: st.DataObject
) -> None:
    n = len(parents)
    key = data.draw(st.lists(st.integers(0, 5), min_size=n, max_size=n))
    expected = [
        all(key[above] != key[node] for above in ancestors(parents, node)[1:]) for node in range(n)
    ]
    assert expected == tree(parents).outermost(np.array(key, np.int64)).tolist()


@given(forests())
def test_a_tour_finds_what_going_level_by_level_does(parents: list[int]) -> None:
    """Of trees with more levels than are worth a step each."""
    levels, toured = tree(parents), tree(parents)
    if parents:
        first, last = toured._tour()
        assert (first.tolist(), last.tolist()) == tuple(map(np.ndarray.tolist, levels._intervals))
    order = levels.preorder.tolist()
    assert sorted(order) == list(range(len(parents)))
    for node, above in enumerate(parents):
        if above >= 0:
            assert order.index(above) < order.index(node)


@given(forests(), st.data())
def test_above_is_all_on_the_way_out(parents: list[int], data: st.DataObject) -> None:
    n = len(parents)
    wanted = data.draw(st.lists(st.booleans(), min_size=n, max_size=n))
    marked = {above for node in range(n) if wanted[node] for above in ancestors(parents, node)}
    found = tree(parents).above(np.array(wanted, np.bool_))
    assert set(np.flatnonzero(found).tolist()) == marked


@given(forests(), st.data())
def test_expand_puts_inlined_functions_outermost_first(
    parents: list[int], data: st.DataObject
) -> None:
    # Stacks come with their parents before them.
    stacks = sorted(range(len(parents)), key=lambda node: len(ancestors(parents, node)))
    number = {node: i for i, node in enumerate(stacks)}
    parent = [number[parents[node]] if parents[node] >= 0 else -1 for node in stacks]
    counts = data.draw(st.lists(st.integers(1, 3), min_size=4, max_size=4))
    each = np.array(counts, np.int64)
    first = np.cumsum(each) - each
    frame = data.draw(st.lists(st.integers(0, 3), min_size=len(parent), max_size=len(parent)))
    nodes, location, leaf = expand(
        np.array(parent, np.int64), np.array(frame, np.int64), first, each
    )
    for stack in range(len(parent)):
        expected = [
            int(first[frame[s]]) + i
            for s in ancestors(parent, stack)
            for i in range(counts[frame[s]])
        ]
        found = [int(location[node]) for node in ancestors(nodes.parent.tolist(), int(leaf[stack]))]
        assert expected == found


@pytest.mark.parametrize("depth", [1, 10_000])
def test_a_deep_stack_is_as_right_as_a_flat_one(depth: int) -> None:
    chain = tree(list(range(-1, depth - 1)))
    ones = np.ones(depth, np.int64)
    assert depth - 1 == chain.depth[-1]
    assert list(range(depth, 0, -1)) == chain.inclusive(ones).tolist()
    assert [True] + [False] * (depth - 1) == chain.outermost(ones).tolist()
    assert [0] * depth == chain.nearest(np.arange(depth) == 0).tolist()
