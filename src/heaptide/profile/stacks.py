"""Forests of stacks with figures on them: folded by path, turned around, cut.

Everything is done on columns, O(n log n), by doubling distances or level by level.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .tree import Tree

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Stacks:
    """A forest: ``own`` (nodes, k) is what each node has by itself, ``rest`` (k,) what none has."""

    parent: Ints
    location: Ints
    own: Ints
    rest: Ints


def sum_rows(row: Ints, figures: Ints, count: int) -> Ints:
    """Sums of ``figures`` (n, k) by ``row``, 0 to ``count``: shape (count, k)."""
    sums = np.zeros((count, figures.shape[1]), figures.dtype)
    for column in range(figures.shape[1]):
        np.add.at(sums[:, column], row, figures[:, column])
    return sums


def without(stacks: Stacks, shown: Bools) -> Stacks:
    """The nodes that are ``shown``; what others have goes to the nearest shown one outside."""
    if shown.all():
        return stacks
    into = Tree(stacks.parent).nearest(shown)
    number = np.append(np.cumsum(shown) - 1, -1)  # the last: no node
    to = number[into]
    own = sum_rows(np.where(to < 0, int(shown.sum()), to), stacks.own, int(shown.sum()) + 1)
    above = np.append(into, -1)[stacks.parent[shown]]
    return Stacks(number[above], stacks.location[shown], own[:-1], stacks.rest + own[-1])


def fold(stacks: Stacks, keys: Ints) -> Stacks:
    """Nodes with equal paths of keys as one.

    Twice as far outwards each time: nodes are equal so far, if they and their ancestors half as
    far away were.
    """
    count = len(stacks.parent)
    tree = Tree(stacks.parent)
    jump = np.append(np.where(stacks.parent < 0, count, stacks.parent), count)
    path = np.append(_dense(keys[stacks.location]) + 1, 0)  # the last: beyond the outermost
    while (jump != count).any():
        path = _dense(path * (count + 1) + path[jump])
        jump = jump[jump]
    path = path[:-1] - 1
    total = int(path.max(initial=-1)) + 1
    parent = np.full(total, -1, np.int64)
    parent[path] = np.append(path, -1)[stacks.parent]
    own = sum_rows(path, stacks.own, total)
    weight = tree.inclusive(stacks.own[:, 0]) if count else np.zeros(0, np.int64)
    return Stacks(parent, _heaviest(path, stacks.location, weight, total), own, stacks.rest)


def _dense(values: Ints) -> Ints:
    """Equal values by one number, from 0, in their order."""
    return np.asarray(np.unique(values, return_inverse=True)[1])


def _heaviest(group: Ints, location: Ints, weight: Ints, groups: Ints | int) -> Ints:
    """For each group the location with the largest sum of ``weight``; the first of equal ones."""
    if not len(group):
        return np.zeros(0, np.int64)
    width = int(location.max()) + 1
    pairs, member = np.unique(group * width + location, return_inverse=True)
    sums = np.zeros(len(pairs), np.int64)
    np.add.at(sums, member, weight)
    of, where = pairs // width, pairs % width
    order = np.lexsort((-where, sums, of))
    found = np.zeros(groups, np.int64)
    found[of[order]] = where[order]  # the last of a group's stays: the one with the largest sum
    return found


def cut(stacks: Stacks, deepest: int | None, least: int) -> Stacks:
    """Without what is too deep, or below a node that is too small."""
    tree = Tree(stacks.parent)
    kept = np.ones(len(tree), np.bool_)
    if deepest is not None:
        kept &= tree.depth < deepest
    if least > 0:
        small = np.abs(tree.inclusive(stacks.own[:, 0])) < least
        kept &= np.append(tree.nearest(small), -1)[stacks.parent] < 0
    return without(stacks, kept)


def invert(stacks: Stacks, keys: Ints, deepest: int | None, least: int) -> Stacks:
    """The tree of the same stacks, read from the innermost frame outwards.

    Each stack that has something by itself is a cursor that moves outwards a level at a time;
    those in one node that stand on one frame are one from then on. One that is alone in its node
    goes the rest of its way at once.
    """
    width = int(keys.max(initial=0)) + 1
    count = len(stacks.parent)
    cursor = np.flatnonzero(stacks.own.any(axis=1))
    held = stacks.own[cursor]
    inside = np.full(len(cursor), -1, np.int64)  # the node that each cursor has come to
    made = _Made(stacks)
    level = 0
    while len(cursor):
        level += 1
        step = (inside + 1) * width + keys[stacks.location[cursor]]
        path, member = np.unique(step, return_inverse=True)
        location = _heaviest(member, stacks.location[cursor], held[:, 0], len(path))
        small = np.abs(sum_rows(member, held[:, :1], len(path))[:, 0]) < least
        up = stacks.parent[cursor]
        last = (up < 0) | small[member]
        if deepest is not None and level >= deepest:
            last[:] = True
        own = sum_rows(member[last], held[last], len(path))
        inside = made.add(path // width - 1, location, own) + member
        alone = ~last & (np.bincount(member, minlength=len(path)) == 1)[member]
        if alone.any():
            made.add_ways(
                inside[alone], up[alone], held[alone], None if deepest is None else deepest - level
            )
        going = ~last & ~alone
        spots, same = np.unique(inside[going] * (count + 1) + up[going], return_inverse=True)
        held = sum_rows(same, held[going], len(spots))
        inside, cursor = np.divmod(spots, count + 1)
    return made.stacks()


class _Made:
    """Nodes of an inverted tree, as they come: parents before their children."""

    def __init__(self, stacks: Stacks) -> None:
        self._of = stacks
        self._count = 0
        none = np.zeros(0, np.int64)
        self._parts: list[tuple[Ints, Ints, Ints]] = [(none, none, stacks.own[:0])]

    def add(self, parent: Ints, location: Ints, own: Ints) -> int:
        """Appends nodes; the number of the first."""
        self._parts.append((parent, location, own))
        self._count += len(parent)
        return self._count - len(parent)

    def add_ways(self, inside: Ints, start: Ints, held: Ints, longest: int | None) -> None:
        """From each of ``start`` outwards to the end, or for ``longest`` steps: a node for each.

        ``inside``: the nodes that they hang on. What is ``held`` belongs to the last of the way.
        """
        count = len(self._of.parent)
        jump = np.append(np.where(self._of.parent < 0, count, self._of.parent), count)
        way, node, distance = np.arange(len(start)), start, np.zeros(len(start), np.int64)
        reach = 1  # all that is less far away is there
        while longest is None or reach < longest:
            further = jump[node]
            there = further < count
            if not there.any():
                break
            way = np.append(way, way[there])
            node = np.append(node, further[there])
            distance = np.append(distance, distance[there] + reach)
            jump, reach = jump[jump], reach * 2
        if longest is not None:
            near = distance < longest
            way, node, distance = way[near], node[near], distance[near]
        order = np.lexsort((distance, way))
        way, node = way[order], node[order]
        first = np.append(True, way[1:] != way[:-1])
        parent = np.where(first, inside[way], self._count + np.arange(len(way)) - 1)
        own = held[way] * np.append(first[1:], True)[:, np.newaxis]
        self.add(parent, self._of.location[node], own)

    def stacks(self) -> Stacks:
        parent, location, own = (np.concatenate(column) for column in zip(*self._parts))
        return Stacks(parent, location, own, self._of.rest)
