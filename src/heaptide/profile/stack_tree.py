"""All stacks of a profile folded into one tree: who calls what, or by whom it was called.

Nodes with the same path of functions (lines, files, modules) are one. The work is done level by
level on columns, O(n log n); nothing loops over nodes.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from heaptide.errors import UsageError
from heaptide.recording import Language

from .fold import groups_of
from .metrics import Metric
from .names import merged_name
from .origin import Origin
from .tree import Tree

if TYPE_CHECKING:
    from .profile import Profile

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

TREE_FOLDS = ("function", "line", "file", "module")
RECURSION = ("keep", "direct", "all")


@dataclass(frozen=True)
class StackTree:
    """Nodes in depth-first order, a parent before its children, siblings largest first.

    Row 0 is the root: everything, and by itself what has no frame that is shown. ``own`` and
    ``inclusive`` have the shape (nodes, k), a column for each figure asked for. ``group`` is the
    number of the function, line, file or module within this profile; ``location`` the row of the
    profile's locations that stands for it: that of the heaviest of the nodes that became one. Both
    are -1 for the root.

    Upright, a node's children are what it calls; inverted, what it was called by, and the own
    figures of a node are of the stacks that end (outermost) with it.
    """

    parent: Ints
    depth: Ints
    group: Ints
    location: Ints
    own: Ints
    inclusive: Ints
    inverted: bool

    def __len__(self) -> int:
        return len(self.parent)


def stack_tree(
    profile: Profile,
    by: str = "function",
    *,
    figures: Ints | None = None,
    inverted: bool = False,
    focus: Bools | None = None,
    hide: Collection[Origin] = (),
    merge: Collection[Origin] = (),
    recursion: str = "keep",
    templates: bool = False,
    deepest: int | None = None,
    least: int = 0,
) -> StackTree:
    """Fold the stacks of ``profile`` by function, line, file or module.

    ``figures``: shape (contexts, k), default ``profile.figures``; the first orders siblings.
    ``focus``: for each location whether stacks begin with it: with the outermost in a stack, what
    is outside of it left out; inverted, they begin with it too, and what is inside of it is its
    own. Stacks without one are left out.
    ``hide``: whose frames are left out; their memory goes to the nearest shown frame outside of
    them (the root, if there is none). ``merge``: whose frames are taken by module, and consecutive
    ones of a module as one. ``recursion``: "direct" makes a frame and its equal caller one, "all"
    leaves out each frame that has an equal one anywhere outside of it. ``templates``: functions
    that differ in template arguments only are one. ``deepest``: levels to keep; what is further
    along goes to the last of them. ``least``: nodes whose first figure is smaller are not opened:
    what is further along is theirs. Inverted trees of many stacks are large: give one of the two.
    No option changes a sum. Raises UsageError for a ``by`` or ``recursion`` that there is not.
    """
    if by not in TREE_FOLDS:
        raise UsageError(f"no tree is by {by!r}; choose one of {', '.join(TREE_FOLDS)}")
    if recursion not in RECURSION:
        raise UsageError(f"no way to treat recursion is {recursion!r}: {', '.join(RECURSION)}")
    figures = profile.figures if figures is None else figures
    keys = _keys(profile, by, merge, templates)
    stacks = _stacks(profile, figures)
    shown = ~np.isin(profile.locations.origin, list(hide))[stacks.location]
    if focus is not None:
        stacks, shown = _focused(stacks, shown, focus, inverted)
    stacks = _without(stacks, shown)
    if recursion == "direct" or (len(merge) and recursion == "keep"):
        key = keys[stacks.location]
        other = key != np.append(key, -1)[stacks.parent]
        if recursion == "keep":
            other |= ~np.isin(profile.locations.origin, list(merge))[stacks.location]
        stacks = _without(stacks, other)
    elif recursion == "all":
        stacks = _without(stacks, Tree(stacks.parent).outermost(keys[stacks.location]))
    folded = _fold(stacks, keys)
    folded = _inverted(folded, keys, deepest, least) if inverted else _cut(folded, deepest, least)
    return _ordered(folded, keys, inverted)


@dataclass(frozen=True)
class _Stacks:
    """A forest: ``own`` (nodes, k) is what each node has by itself, ``rest`` (k,) what none has."""

    parent: Ints
    location: Ints
    own: Ints
    rest: Ints


def _keys(profile: Profile, by: str, merge: Collection[Origin], templates: bool) -> Ints:
    """For each location the number of the group that it is in."""
    functions = _without_templates(profile) if templates else None
    keys = groups_of(profile, by, functions)
    if merge and by != "module":
        merged = np.isin(profile.locations.origin, list(merge))
        modules = groups_of(profile, "module") + int(keys.max(initial=-1)) + 1
        keys = np.where(merged, modules, keys)
    return np.asarray(np.unique(keys, return_inverse=True)[1])


def _without_templates(profile: Profile) -> Ints:
    """For each location a number of its function's name without template arguments."""
    at = profile.locations
    pairs, inverse = np.unique(at.function * 256 + at.language, return_inverse=True)
    numbers: dict[str, int] = {}
    found = [
        numbers.setdefault(
            merged_name(at.texts[pair // 256], Language(min(pair % 256, Language.OTHER))),
            len(numbers),
        )
        for pair in pairs.tolist()
    ]
    return np.array(found, np.int64)[inverse]


def _stacks(profile: Profile, figures: Ints) -> _Stacks:
    """The profile's tree with the figures on it, nodes without any below them left out.

    What the interpreter made for itself, which has no stack, is a stack of one frame.
    """
    tree, outside = profile.tree, profile.locations.outside_python
    count = len(tree)
    node = np.where(profile.context_site == outside, count, profile.context_node)
    used = np.flatnonzero(figures.any(axis=1))
    own = sum_rows(node[used], figures[used], count + 1)
    parent = np.append(tree.parent, -1)
    location = np.append(profile.node_location, outside)
    weight = np.zeros(count + 1, np.int64)
    weight[node[used]] = 1
    stacks = _Stacks(parent, location, own, np.zeros(figures.shape[1], figures.dtype))
    return _without(stacks, Tree(parent).inclusive(weight) > 0)


def sum_rows(row: Ints, figures: Ints, count: int) -> Ints:
    """Sums of ``figures`` (n, k) by ``row``, 0 to ``count``: shape (count, k)."""
    sums = np.zeros((count, figures.shape[1]), figures.dtype)
    for column in range(figures.shape[1]):
        np.add.at(sums[:, column], row, figures[:, column])
    return sums


def _without(stacks: _Stacks, shown: Bools) -> _Stacks:
    """The nodes that are ``shown``; what others have goes to the nearest shown one outside."""
    if shown.all():
        return stacks
    into = Tree(stacks.parent).nearest(shown)
    number = np.append(np.cumsum(shown) - 1, -1)  # the last: no node
    to = number[into]
    own = sum_rows(np.where(to < 0, int(shown.sum()), to), stacks.own, int(shown.sum()) + 1)
    above = np.append(into, -1)[stacks.parent[shown]]
    return _Stacks(number[above], stacks.location[shown], own[:-1], stacks.rest + own[-1])


def _focused(stacks: _Stacks, shown: Bools, focus: Bools, inverted: bool) -> tuple[_Stacks, Bools]:
    """Stacks from the outermost frame in focus inwards; inverted, those outwards of it."""
    tree = Tree(stacks.parent)
    wanted = focus[stacks.location]
    first = wanted & (np.append(tree.nearest(wanted), -1)[stacks.parent] < 0)
    start = tree.nearest(first)  # subtrees of two of them do not overlap
    inside = start >= 0
    shown = shown | first
    if inverted:
        own = sum_rows(start[inside], stacks.own[inside], len(start))
        return _Stacks(stacks.parent, stacks.location, own, stacks.rest * 0), shown
    number = np.append(np.cumsum(inside) - 1, -1)
    parent = number[np.where(first, -1, stacks.parent)][inside]
    return _Stacks(parent, stacks.location[inside], stacks.own[inside], stacks.rest * 0), shown[
        inside
    ]


def _fold(stacks: _Stacks, keys: Ints) -> _Stacks:
    """Nodes with equal paths of keys as one, in order of their depth."""
    count = len(stacks.parent)
    tree = Tree(stacks.parent)
    order = np.argsort(tree.depth, kind="stable")
    bounds = np.searchsorted(tree.depth[order], np.arange(int(tree.depth.max(initial=-1)) + 2))
    key = keys[stacks.location]
    width = int(keys.max(initial=0)) + 1
    became = np.full(count + 1, -1, np.int64)  # the last: outermost nodes have no parent
    total = 0
    parents = [np.zeros(0, np.int64)]
    for start, stop in zip(bounds[:-1].tolist(), bounds[1:].tolist()):
        nodes = order[start:stop]
        above = became[stacks.parent[nodes]]
        path, member = np.unique((above + 1) * width + key[nodes], return_inverse=True)
        became[nodes] = total + member
        parents.append(path // width - 1)
        total += len(path)
    became = became[:-1]
    own = sum_rows(became, stacks.own, total)
    weight = tree.inclusive(stacks.own[:, 0]) if count else np.zeros(0, np.int64)
    location = _heaviest(became, stacks.location, weight, total)
    return _Stacks(np.concatenate(parents), location, own, stacks.rest)


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


def _inverted(stacks: _Stacks, keys: Ints, deepest: int | None, least: int) -> _Stacks:
    """The tree of the same stacks, read from the innermost frame outwards.

    Each stack that has something by itself is a cursor that moves outwards a level at a time;
    those in one node that stand on one frame are one from then on.
    """
    width = int(keys.max(initial=0)) + 1
    cursor = np.flatnonzero(stacks.own.any(axis=1))
    held = stacks.own[cursor]
    inside = np.full(len(cursor), -1, np.int64)  # the node that each cursor has come to
    parents, locations, owns = [], [], []
    total = 0
    while len(cursor):
        step = (inside + 1) * width + keys[stacks.location[cursor]]
        path, member = np.unique(step, return_inverse=True)
        parents.append(path // width - 1)
        locations.append(_heaviest(member, stacks.location[cursor], held[:, 0], len(path)))
        up = stacks.parent[cursor]
        small = np.abs(sum_rows(member, held[:, :1], len(path))[:, 0]) < least
        last = (up < 0) | small[member]
        if deepest is not None and len(parents) >= deepest:
            last[:] = True
        owns.append(sum_rows(member[last], held[last], len(path)))
        spot = (total + member[~last]) * (len(stacks.parent) + 1) + up[~last]
        spots, same = np.unique(spot, return_inverse=True)
        held = sum_rows(same, held[~last], len(spots))
        inside, cursor = np.divmod(spots, len(stacks.parent) + 1)
        total += len(path)
    none = np.zeros(0, np.int64)
    return _Stacks(
        np.concatenate([none, *parents]),
        np.concatenate([none, *locations]),
        np.concatenate([stacks.own[:0], *owns]),
        stacks.rest,
    )


def _cut(stacks: _Stacks, deepest: int | None, least: int) -> _Stacks:
    """Without what is too deep, or below a node that is too small."""
    tree = Tree(stacks.parent)
    kept = np.ones(len(tree), np.bool_)
    if deepest is not None:
        kept &= tree.depth < deepest
    if least > 0:
        small = np.abs(tree.inclusive(stacks.own[:, 0])) < least
        kept &= np.append(tree.nearest(small), -1)[stacks.parent] < 0
    return _without(stacks, kept)


def _ordered(stacks: _Stacks, keys: Ints, inverted: bool) -> StackTree:
    """With a root before all, in depth-first order, siblings by the first figure, largest first."""
    parent = np.append(-1, stacks.parent + 1)
    location = np.append(-1, stacks.location)
    own = np.concatenate([stacks.rest[np.newaxis], stacks.own])
    inclusive = Tree(parent).inclusive(own)
    group = np.append(keys, -1)[location]  # location -1 picks the appended -1
    # A tree keeps siblings in the order of their numbers, so numbers go by size first.
    rank = np.lexsort((group, -inclusive[:, 0]))
    number = np.empty(len(rank), np.int64)
    number[rank] = np.arange(len(rank))
    sorted_parent = np.append(number, -1)[parent[rank]]
    order = rank[Tree(sorted_parent).preorder]
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    final = np.append(place, -1)[parent[order]]
    return StackTree(
        final,
        Tree(final).depth,
        group[order],
        location[order],
        own[order],
        inclusive[order],
        inverted,
    )


def metric_figures(profile: Profile, metric: Metric) -> Ints:
    """The metric and what is shown beside it, for each context: shape (contexts, 2)."""
    figures = profile.figures_for(metric)
    return np.stack([metric.of(figures), metric.beside_of(figures)], axis=1)
