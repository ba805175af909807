"""All stacks of a profile folded into one tree: who calls what, or by whom it was called.

Nodes with the same path of functions (lines, files, modules) are one. The work is done on columns,
O(n log n), by doubling distances or level by level; nothing loops over nodes.
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
from .stacks import Stacks, cut, fold, invert, sum_rows, without
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
    """Fold the stacks of ``profile`` by function, line, file or module; by place: functions with
    their lines, as files of other profilers have them.

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
    if by not in (*TREE_FOLDS, "place"):
        raise UsageError(f"no tree is by {by!r}; choose one of {', '.join(TREE_FOLDS)}")
    if recursion not in RECURSION:
        raise UsageError(f"no way to treat recursion is {recursion!r}: {', '.join(RECURSION)}")
    figures = profile.figures if figures is None else figures
    keys = _keys(profile, by, merge, templates)
    stacks = _stacks(profile, figures)
    shown = ~np.isin(profile.locations.origin, list(hide))[stacks.location]
    if focus is not None:
        stacks, shown = _focused(stacks, shown, focus, inverted)
    stacks = without(stacks, shown)
    if recursion == "direct" or (len(merge) and recursion == "keep"):
        key = keys[stacks.location]
        other = key != np.append(key, -1)[stacks.parent]
        if recursion == "keep":
            other |= ~np.isin(profile.locations.origin, list(merge))[stacks.location]
        stacks = without(stacks, other)
    elif recursion == "all":
        stacks = without(stacks, Tree(stacks.parent).outermost(keys[stacks.location]))
    folded = fold(stacks, keys)
    folded = invert(folded, keys, deepest, least) if inverted else cut(folded, deepest, least)
    return _ordered(folded, keys, inverted)


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


def _stacks(profile: Profile, figures: Ints) -> Stacks:
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
    found = np.zeros(count + 1, np.bool_)
    found[node[used]] = True
    stacks = Stacks(parent, location, own, np.zeros(figures.shape[1], figures.dtype))
    return without(stacks, Tree(parent).above(found))


def _focused(stacks: Stacks, shown: Bools, focus: Bools, inverted: bool) -> tuple[Stacks, Bools]:
    """Stacks from the outermost frame in focus inwards; inverted, those outwards of it."""
    tree = Tree(stacks.parent)
    wanted = focus[stacks.location]
    first = wanted & (np.append(tree.nearest(wanted), -1)[stacks.parent] < 0)
    start = tree.nearest(first)  # subtrees of two of them do not overlap
    inside = start >= 0
    shown = shown | first
    if inverted:
        own = sum_rows(start[inside], stacks.own[inside], len(start))
        return Stacks(stacks.parent, stacks.location, own, stacks.rest * 0), shown
    number = np.append(np.cumsum(inside) - 1, -1)
    parent = number[np.where(first, -1, stacks.parent)][inside]
    return Stacks(parent, stacks.location[inside], stacks.own[inside], stacks.rest * 0), shown[
        inside
    ]


def _ordered(stacks: Stacks, keys: Ints, inverted: bool) -> StackTree:
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
