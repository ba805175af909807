"""A forest of stack nodes as one array of parents, and what is computed over it.

Nothing here loops over nodes in Python. Questions about ancestors are answered by pointer
doubling, O(n log depth); sums over subtrees by one prefix sum in depth-first order.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


_DEEP = 400  # levels, from where on ranking a list is cheaper than a step for each of them


class Tree:
    """Nodes 0..n-1; ``parent[i]`` is a node, or -1 where node i is outermost. Acyclic."""

    def __init__(self, parent: Ints) -> None:
        self.parent = parent

    def __len__(self) -> int:
        return len(self.parent)

    def nearest(self, wanted: Bools) -> Ints:
        """For each node the innermost wanted one among itself and its ancestors; -1: none."""
        n = len(self.parent)
        # One extra node stands for "above the outermost" and absorbs every walk that found nothing.
        jump = np.empty(n + 1, np.int64)
        jump[:n] = np.where(wanted, np.arange(n), np.where(self.parent < 0, n, self.parent))
        jump[n] = n
        while True:
            further = jump[jump]
            if np.array_equal(further, jump):
                break
            jump = further
        found: Ints = np.where(jump[:n] == n, -1, jump[:n])
        return found

    @cached_property
    def depth(self) -> Ints:
        """Number of ancestors of each node."""
        n = len(self.parent)
        jump = np.append(np.where(self.parent < 0, n, self.parent), n)
        depth = (jump != n).astype(np.int64)
        while (jump != n).any():
            depth += depth[jump]
            jump = jump[jump]
        found: Ints = depth[:n]
        return found

    @cached_property
    def _intervals(self) -> tuple[Ints, Ints]:
        """Depth-first position of each node, and the position after its last descendant."""
        n = len(self.parent)
        if n == 0:
            return np.empty(0, np.int64), np.empty(0, np.int64)
        if self.depth.max() > _DEEP:
            return self._tour()
        # Nodes level by level, siblings side by side: a level is a run of `order`, and within it
        # the children of one node are a run.
        order = np.lexsort((self.parent, self.depth))
        bounds = np.searchsorted(self.depth[order], np.arange(self.depth.max(initial=0) + 2))
        parents = self.parent[order]
        size = np.ones(n, np.int64)
        for start, stop in zip(bounds[-2:0:-1], bounds[:1:-1]):
            run = parents[start:stop]
            firsts = np.flatnonzero(np.append(True, run[1:] != run[:-1]))
            size[run[firsts]] += np.add.reduceat(size[order[start:stop]], firsts)
        position = np.empty(n, np.int64)
        for start, stop in zip(bounds[:-1], bounds[1:]):
            nodes, run = order[start:stop], parents[start:stop]
            before = np.cumsum(size[nodes]) - size[nodes]  # sizes of the nodes before, this level
            firsts = np.append(True, run[1:] != run[:-1])
            before -= before[np.maximum.accumulate(np.where(firsts, np.arange(len(run)), 0))]
            position[nodes] = before if run[0] < 0 else before + position[run] + 1
        return position, position + size

    def _tour(self) -> tuple[Ints, Ints]:
        """The same for trees of many levels, O(n log n) whatever their depth.

        A walk enters each node and leaves it: 2 n steps, each of which knows the next one. How
        far each is from the end comes by pointer doubling.
        """
        n = len(self.parent)
        order = np.argsort(self.parent, kind="stable")
        parents = self.parent[order]
        sibling = np.append(parents[1:] == parents[:-1], False)  # another one comes behind
        following = np.full(n, -1, np.int64)
        following[order[:-1]] = np.where(sibling[:-1], order[1:], -1)
        child = np.full(n, -1, np.int64)  # the first one
        firsts = np.append(True, ~sibling[:-1]) & (parents >= 0)
        child[parents[firsts]] = order[firsts]
        # Steps 0 to n - 1 enter nodes, n to 2 n - 1 leave them, 2 n is the end.
        leave = np.where(self.parent >= 0, self.parent + n, 2 * n)
        jump = np.empty(2 * n + 1, np.int64)
        jump[:n] = np.where(child >= 0, child, np.arange(n, 2 * n))
        jump[n : 2 * n] = np.where(following >= 0, following, leave)
        jump[2 * n] = 2 * n
        distance = np.append(np.ones(2 * n, np.int64), 0)
        while (jump != 2 * n).any():
            distance += distance[jump]
            jump = jump[jump]
        walk = np.empty(2 * n, np.int64)
        walk[2 * n - distance[:-1]] = np.arange(2 * n)
        entered = np.cumsum(walk < n)
        found = np.empty(2 * n, np.int64)
        found[walk] = entered
        return found[:n] - 1, found[n:]

    def above(self, wanted: Bools) -> Bools:
        """True for the nodes that are wanted, and for all their ancestors."""
        n = len(self.parent)
        jump = np.append(np.where(self.parent < 0, n, self.parent), n)
        marked = np.append(wanted, False)
        while (jump != n).any():
            marked[jump[marked]] = True
            jump = jump[jump]
        return marked[:n]

    @cached_property
    def preorder(self) -> Ints:
        """The nodes in depth-first order, a parent first, siblings by their numbers."""
        order = np.empty(len(self.parent), np.int64)
        order[self._intervals[0]] = np.arange(len(self.parent))
        return order

    def inclusive(self, own: Ints) -> Ints:
        """Sums over subtrees. ``own``: one row a node (shape (n,) or (n, k)); the same shape."""
        first, last = self._intervals
        in_order = np.empty_like(own)
        in_order[first] = own
        running = np.zeros((len(own) + 1, *own.shape[1:]), own.dtype)
        np.cumsum(in_order, axis=0, out=running[1:])
        summed: Ints = running[last] - running[first]
        return summed

    def outermost(self, key: Ints) -> Bools:
        """True where no ancestor of a node has the node's key: recursion counted once."""
        n = len(self.parent)
        first, last = self._intervals
        order = np.lexsort((first, key))
        # Subtrees nest or are disjoint, so a node lies inside an earlier one of its key exactly
        # when the furthest end so far within its key is beyond its start. Offsetting ends by key
        # lets one running maximum serve all keys: an earlier key's end is below every later start.
        lift = np.cumsum(np.append(0, np.diff(key[order]) != 0)) * (n + 1) if n else first
        ends = np.maximum.accumulate(last[order] + lift)
        inside = np.zeros(n, np.bool_)
        inside[1:] = ends[:-1] > first[order][1:] + lift[1:]
        result = np.empty(n, np.bool_)
        result[order] = ~inside
        return result


def expand(
    parent: Ints, frame: Ints, first_location: Ints, locations: Ints
) -> tuple[Tree, Ints, Ints]:
    """Give each function inlined into a frame a node of its own.

    ``parent`` (-1: outermost) and ``frame``: one row a stack. ``first_location`` and
    ``locations``: one row a frame: the rows, innermost first, of the functions found at its
    address; at least one each. Returns the tree, each node's location row, and each stack's
    innermost node.
    """
    count = locations[frame]
    stop = np.cumsum(count)
    start = stop - count
    stack = np.repeat(np.arange(len(frame)), count)
    nodes = np.arange(len(stack))
    outward = stop[stack] - 1 - nodes  # the outermost inlined function comes first
    location = first_location[frame][stack] + outward
    above = np.append(stop - 1, -1)[parent]  # parent -1 picks the appended -1
    return Tree(np.where(nodes == start[stack], above[stack], nodes - 1)), location, stop - 1
