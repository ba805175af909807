"""The order in which nodes, samples and texts take the least room, without what is not used."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from heaptide.profile import Tree

from .rows import Ints, grouped
from .tables import PLACE, TEXTS, Tables, regrouped


def compact(tables: Tables) -> Tables:
    """Equal places are one, and so are nodes of the same place below the same node, and samples of
    the same node and owner. Nodes are in depth-first order, samples in that of their nodes."""
    tables = _nodes(_texts(_places(_needed(tables))))
    return regrouped(tables, *_samples(tables))


def arranged(shape: Tables) -> tuple[Tables, Ints]:
    """The same of tables without figures, and what each sample has become."""
    return same_samples(_nodes(_texts(_places(_needed(shape)))))


def same_samples(shape: Tables) -> tuple[Tables, Ints]:
    """With samples of the same node and owner become one, and what each has become."""
    number, first = _samples(shape)
    names = ("node", "site", "thread", "process", "kind")
    return replace(shape, **{name: getattr(shape, name)[first] for name in names}), number


def _places(tables: Tables) -> Tables:
    """Without places that are not used; equal ones are one."""
    used = np.zeros(len(tables.places["line"]), np.bool_)
    used[tables.place] = True
    rows = np.flatnonzero(used)
    # Sorted by file and line: neighbours have much in common.
    names = dict.fromkeys(("file", "module", "function", "line", *PLACE))
    groups = grouped([tables.places[name][rows] for name in names])
    number = np.full(len(used), -1, np.int64)
    number[rows] = groups.number
    places = {name: tables.places[name][rows[groups.first]] for name in PLACE}
    return replace(tables, places=places, place=number[tables.place])


def _texts(tables: Tables) -> Tables:
    """Without texts that are not used."""
    used = np.unique(np.concatenate([[0], *(tables.places[name] for name in TEXTS)]))
    number = np.zeros(len(tables.texts), np.int64)
    number[used] = np.arange(len(used))
    places = {**tables.places, **{name: number[tables.places[name]] for name in TEXTS}}
    return replace(tables, texts=[tables.texts[i] for i in used.tolist()], places=places)


def _needed(tables: Tables) -> Tables:
    """Without nodes that have no sample at or below them."""
    own = np.bincount(tables.node, minlength=len(tables.parent))
    needed = Tree(tables.parent).inclusive(own) > 0
    if needed.all():
        return tables
    number = np.append(np.cumsum(needed) - 1, -1)  # the last: above the outermost
    return replace(
        tables,
        parent=number[tables.parent[needed]],
        place=tables.place[needed],
        node=number[tables.node],
        site=number[tables.site],
    )


def _nodes(tables: Tables) -> Tables:
    merged, parent, place = merged_nodes(tables.parent, tables.place)
    position = _depth_first(parent, place)
    order = np.argsort(position)
    above = parent[order]
    return replace(
        tables,
        parent=np.where(above < 0, -1, position[above]),
        place=place[order],
        node=position[merged[tables.node]],
        site=position[merged[tables.site]],
    )


def merged_nodes(parent: Ints, place: Ints) -> tuple[Ints, Ints, Ints]:
    """A number for each node: the same for nodes of one place whose parents have one number.
    And of each number the parent's (-1: outermost), which is smaller, and the place."""
    depth = Tree(parent).depth
    rows = np.argsort(depth, kind="stable")
    bounds = np.searchsorted(depth[rows], np.arange(depth.max(initial=-1) + 2))
    number = np.full(len(parent) + 1, -1, np.int64)  # the last: above the outermost
    places = int(place.max(initial=0)) + 1
    keys = [np.zeros(0, np.int64)]
    count = 0
    for start, stop in zip(bounds[:-1].tolist(), bounds[1:].tolist()):
        level = rows[start:stop]
        key = (number[parent[level]] + 1) * places + place[level]
        distinct, inverse = np.unique(key, return_inverse=True)
        number[level] = count + inverse
        count += len(distinct)
        keys.append(distinct)
    key = np.concatenate(keys)
    return number[:-1], key // places - 1, key % places


def _depth_first(parent: Ints, place: Ints) -> Ints:
    """The depth-first position of each node, children in order of their places."""
    tree = Tree(parent)
    order = np.lexsort((place, parent, tree.depth))
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    above = parent[order]
    walk = Tree(np.where(above < 0, -1, rank[above])).preorder
    position = np.empty(len(walk), np.int64)
    position[walk] = np.arange(len(walk))
    return position[rank]


def _samples(tables: Tables) -> tuple[Ints, Ints]:
    """What each sample becomes, and for each that there is then one of the old."""
    groups = grouped((tables.node, tables.site, tables.thread, tables.process, tables.kind))
    return groups.number, groups.first
