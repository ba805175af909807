"""Keeping a page below a size: coarser time first, then small stacks folded into their callers.

No total changes: what is folded is still there, under one name and at one place.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from heaptide.profile import Origin, Tree
from heaptide.recording import FrameKind

from .order import compact
from .tables import Births, Histogram, Tables

Ints = npt.NDArray[np.int64]

FOLDED = "[folded]"
_FEWEST_BINS = 30
_STEPS = 7  # of the search for the threshold: within a tenth of the largest that fits


@dataclass(frozen=True)
class Shrunk:
    """``said``: a sentence for each thing that was left out or folded."""

    tables: Tables
    size: int
    said: list[str]


def shrink(tables: Tables, most: int, size_of: Callable[[Tables], int]) -> Shrunk:
    """``tables``, compact, in at most ``most`` bytes, as far as that can be done."""
    size = size_of(tables)
    said: list[str] = []
    while size > most and len(tables.changes) > _FEWEST_BINS:
        tables = replace(tables, changes=tables.changes.coarser())
        size = size_of(tables)
        said = [f"time is shown in {len(tables.changes)} steps"]
    if size > most:
        bare = replace(tables, sizes=_none(), lifetimes=_none(), ages=_none())
        without = size_of(bare)
        if without < size:
            tables, size = bare, without
            said.append("sizes and lifetimes of blocks are left out")
    if size > most and len(tables.births.sample):
        births = tables.births
        nothing = births.time[:0]
        tables = replace(tables, births=Births(*[nothing] * 6))
        size = size_of(tables)
        said.append("ages of blocks are left out")
    if size <= most:
        return Shrunk(tables, size, said)
    return _folded_to(tables, most, size_of, said)


def _none() -> Histogram:
    nothing = np.zeros(0, np.int64)
    return Histogram(nothing, nothing, nothing)


def _folded_to(
    tables: Tables, most: int, size_of: Callable[[Tables], int], said: list[str]
) -> Shrunk:
    """With the smallest threshold found below which all subtrees are folded and it fits."""
    importance = node_importance(tables)
    low, high = -7.0, 0.0  # powers of ten; at 10 ** 0 all is folded
    best, size = tables, 0
    threshold = 1.0
    for step in range(_STEPS):
        middle = (low + high) / 2 if step else -4.0
        candidate = folded(tables, importance <= 10.0**middle)
        measured = size_of(candidate)
        if measured <= most:
            high, best, size, threshold = middle, candidate, measured, 10.0**middle
        else:
            low = middle
    if not size:
        best = folded(tables, importance <= 1.0)
        size = size_of(best)
    gone = int((importance <= threshold).sum())
    sentence = (
        f"{gone:,} of {len(tables.parent):,} stack nodes, each with less than "
        f"{threshold * 100:.2g} % of every figure, are shown as {FOLDED}"
    )
    return Shrunk(best, size, [*said, sentence])


def node_importance(tables: Tables) -> npt.NDArray[np.float64]:
    """For each node the largest part, 0 to 1, of any figure's total that is at or below it."""
    figures = tables.figures if tables.base is None else np.hstack([tables.figures, tables.base])
    # One more column for what changed and was freed: a node that only the timeline needs.
    tree = Tree(tables.parent)
    part = np.zeros(len(tables.parent), np.float64)
    for column in range(figures.shape[1]):
        total = int(figures[:, column].sum())
        if not total:
            continue
        own = np.zeros(len(tables.parent), np.int64)
        np.add.at(own, tables.node, figures[:, column])
        np.maximum(part, tree.inclusive(own) / total, out=part)
    return part


def folded(tables: Tables, small: npt.NDArray[np.bool_]) -> Tables:
    """``tables`` with each largest subtree of ``small`` nodes become one node below its parent.

    ``small`` must hold for all nodes below one for which it holds.
    """
    places = len(tables.places["line"])
    special = {
        "function": len(tables.texts),
        "kind": int(FrameKind.SPECIAL),
        "origin": int(Origin.UNKNOWN),
    }
    extended = {
        name: np.append(column, special.get(name, 0)) for name, column in tables.places.items()
    }
    # The outermost small node of each subtree stands for all of it.
    outermost = small & np.append(~small, True)[tables.parent]
    top = Tree(tables.parent).nearest(outermost)
    node = tables.node
    inside = small[node]
    return compact(
        replace(
            tables,
            texts=[*tables.texts, FOLDED],
            places=extended,
            place=np.where(outermost, places, tables.place),
            node=np.where(inside, top[node], node),
            # Kinds and threads told apart below what is folded cost more than they tell.
            kind=np.where(inside, 0, tables.kind),
        )
    )
