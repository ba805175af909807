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

from .. import units
from .order import compact
from .rows import Ints
from .tables import FIGURES, Side, Tables

Bools = npt.NDArray[np.bool_]
Shares = npt.NDArray[np.float64]

FOLDED = "[folded]"
_FEWEST_BINS = 30
_FEWEST_MOMENTS = 4
_SMALL = 1e-4  # part of every figure below which a stack's sizes and lifetimes go first
_LOOKS = 8  # how often a way to fold is measured
_CLOSE = 0.9  # of the room: good enough


@dataclass(frozen=True)
class Shrunk:
    """``said``: a sentence for each thing that was left out or folded."""

    tables: Tables
    said: list[str]


def shrink(tables: Tables, most: int, size_of: Callable[[Tables], int]) -> Shrunk:
    """``tables``, compact, in at most ``most`` bytes, as far as that can be done."""
    size = size_of(tables)
    said: list[str] = []
    while size > most and _steps(tables) > _FEWEST_BINS:
        coarser = tables.with_sides(_coarser_time)
        tables = replace(coarser, spreads=tables.spreads.coarser())
        size = size_of(tables)
        said = [f"time is shown in {_steps(tables)} steps"]
    moments = _moments(tables)
    while size > most and _moments(tables) > _FEWEST_MOMENTS:
        tables = tables.with_sides(_fewer_moments)
        size = size_of(tables)
    if _moments(tables) < moments:
        said.append(f"how old memory is is known at {_moments(tables)} moments")
    if size > most:
        large = _shares(tables.node, tables, len(tables.parent))[tables.node] >= _SMALL
        names = ("sizes", "lifetimes", "ages")
        bare = replace(tables, **{name: getattr(tables, name).of(large) for name in names})
        without = size_of(bare)
        if without < size:
            tables, size = bare, without
            said.append(
                "sizes and lifetimes are left out for stacks that have less than "
                f"{_SMALL * 100:g} % of every figure"
            )
    if size <= most:
        return Shrunk(tables, said)
    return _folded_to(tables, most, size, size_of, said)


def _steps(tables: Tables) -> int:
    """Spans of time, of the recording that has more."""
    return max(len(side.changes) for side in tables.sides)


def _moments(tables: Tables) -> int:
    """At which ages are known, of the recording that has more."""
    return max(len(side.births.time) for side in tables.sides)


def _coarser_time(side: Side) -> Side:
    if len(side.changes) <= _FEWEST_BINS:
        return side
    return replace(side, changes=side.changes.coarser(), exits=side.exits.coarser())


def _fewer_moments(side: Side) -> Side:
    few = len(side.births.time) <= _FEWEST_MOMENTS
    return side if few else replace(side, births=side.births.coarser())


def _folded_to(
    tables: Tables, most: int, size: int, size_of: Callable[[Tables], int], said: list[str]
) -> Shrunk:
    """With as few of the least important nodes folded as it takes, nearly."""
    # Of equally important ones those that come first are kept, so a parent before its children.
    ranked = np.argsort(-node_importance(tables), kind="stable")
    small = np.ones(len(ranked), np.bool_)
    best = folded(tables, small)
    least = size_of(best)
    fits, fails = (1, least), (len(ranked), size)  # how many nodes are kept, and the size
    for _ in range(_LOOKS if least <= most else 0):
        # Sizes grow about like a power of what is kept; aim a little low.
        (few, fit), (many, fail) = np.log(fits), np.log(fails)
        part = (np.log(most * (1 + _CLOSE) / 2) - fit) / max(fail - fit, 1e-9)
        keep = int(np.exp(few + (many - few) * min(max(part, 0.05), 0.95)))
        if not fits[0] < keep < fails[0]:
            break
        candidate = np.ones(len(ranked), np.bool_)
        candidate[ranked[:keep]] = False
        found = folded(tables, candidate)
        measured = size_of(found)
        if measured > most:
            fails = (keep, measured)
            continue
        fits, best, small = (keep, measured), found, candidate
        if measured > most * _CLOSE:
            break
    return Shrunk(best, [*said, _sentence(tables, small)])


def _sentence(tables: Tables, small: Bools) -> str:
    inside = small[tables.node]
    stacks = len(np.unique(tables.node[inside]))
    figures = _figures(tables)
    parts = figures[inside].sum(axis=0) / np.maximum(figures.sum(axis=0), 1)
    peak = FIGURES.index("peak_bytes")
    others = max(np.delete(parts, peak).max(), 0.0)
    return (
        f"{units.some(stacks, 'stack', 'stacks')}, which together hold "
        f"{units.percent(max(parts[peak], 0.0))} of the peak and at most "
        f"{units.percent(others)} of any other figure, are shown as {FOLDED}"
    )


def _figures(tables: Tables) -> Ints:
    """Of each sample, in a difference of both recordings."""
    sides = [side.figures for side in tables.sides]
    return sides[0] if len(sides) == 1 else np.hstack(sides)


def _shares(node: Ints, tables: Tables, nodes: int, tree: Tree | None = None) -> Shares:
    """For each of ``nodes`` the largest part, 0 to 1, of any figure's total that it has; with
    ``tree`` with all below it."""
    figures = _figures(tables)
    part = np.zeros(nodes, np.float64)
    for column in figures.T:
        total = int(column.sum())
        if total <= 0:
            continue
        own = np.zeros(nodes, np.int64)
        np.add.at(own, node, column)
        np.maximum(part, (own if tree is None else tree.inclusive(own)) / total, out=part)
    return part


def node_importance(tables: Tables) -> Shares:
    """For each node the largest part, 0 to 1, of any figure's total that is at or below it."""
    return _shares(tables.node, tables, len(tables.parent), Tree(tables.parent))


def folded(tables: Tables, small: Bools) -> Tables:
    """``tables`` with each largest subtree below a node of ``small`` become one node, which what
    was charged to a node in it is charged to."""
    tree = Tree(tables.parent)
    inside = tree.nearest(small) >= 0
    outermost = inside & np.append(~inside, True)[tables.parent]
    became = np.where(inside, tree.nearest(outermost), np.arange(len(small)))
    place = len(tables.places["line"])
    special = {
        "function": len(tables.texts),
        "kind": int(FrameKind.SPECIAL),
        "origin": int(Origin.UNKNOWN),
    }
    return compact(
        replace(
            tables,
            texts=[*tables.texts, FOLDED],
            places={
                name: np.append(column, special.get(name, 0))
                for name, column in tables.places.items()
            },
            place=np.where(outermost, place, tables.place),
            node=became[tables.node],
            site=became[tables.site],
        )
    )
