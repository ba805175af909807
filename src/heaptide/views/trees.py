"""Stack trees as indented text: the large branches, long chains shortened, and what is left out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from rich.text import Text

from heaptide.profile.origin import Origin
from heaptide.recording import Language

from . import units
from .labels import GAP, Label, divide, heads, place_label, write_label

if TYPE_CHECKING:
    from heaptide.profile import Metric, Profile, StackTree

    from .console import Screen
    from .treeoptions import TreeOptions

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

_ENDS = 2  # frames that are shown of either end of a chain too long to show
_MOST_OWN = 6  # and of one's own code in between


@dataclass(frozen=True)
class Segment:
    """Rows of a tree one below the other, without another branch: ``first`` to ``last``.

    A row shows what a chain leaves out in the middle, if that is more than one. ``parent``: the
    segment in the outline that this hangs on; -1: the root.
    """

    first: int
    last: int
    parent: int


def chain(segment: Segment, own: Bools) -> list[int]:
    """Rows of a segment to print; a negative number stands for so many that are left out.

    Of a long one the ends are shown, and in between the frames that are ``own`` code, if these are
    few: they are what can be changed.
    """
    length = segment.last - segment.first + 1
    rows = range(segment.first, segment.last + 1)
    if length <= 2 * _ENDS:
        return list(rows)
    inner = [row for row in rows[_ENDS:-_ENDS] if own[row]]
    if len(inner) > _MOST_OWN:
        inner = []
    kept = {*rows[:_ENDS], *inner, *rows[-_ENDS:]}
    found: list[int] = []
    for row in rows:
        if row in kept:
            if found and found[-1] == -1:
                found[-1] = row - 1  # one alone takes no more room than what says so
            found.append(row)
        elif found[-1] < 0:
            found[-1] -= 1
        else:
            found.append(-1)
    return found


def outline(tree: StackTree, least: int, lines: int) -> list[Segment]:
    """The branches to show, depth first: of those with ``least`` or more of the first figure the
    largest that fit into ``lines`` (0: all).

    A chain whose frames all have the same figure is one segment: it is shortened, not cut.
    """
    value = tree.inclusive[:, 0]
    rows = np.flatnonzero(value >= max(least, 1))
    rows = rows[rows > 0]
    if not len(rows):
        return []
    number = np.full(len(tree) + 1, -1, np.int64)
    number[rows] = np.arange(len(rows))
    above = number[tree.parent[rows]]  # -1: the root
    # Depth first, the largest child is the row behind its parent; with the same figure it is the
    # only one that has any.
    follows = np.append(False, above[1:] == np.arange(len(rows) - 1))
    follows[1:] &= value[rows[1:]] == value[rows[:-1]]
    start = np.flatnonzero(~follows)
    stop = np.append(start[1:], len(rows))
    order = np.lexsort((start, -value[rows[start]]))
    cost = np.minimum(stop - start, 2 * _ENDS + 1)[order].cumsum()
    chosen = np.sort(order[: max(int(np.searchsorted(cost, lines, side="right")), 1)])
    if lines <= 0:
        chosen = np.arange(len(start))
    segment = np.cumsum(~follows) - 1
    place = np.full(len(start) + 1, -1, np.int64)
    place[chosen] = np.arange(len(chosen))
    parent = np.where(above[start] < 0, -1, place[segment[above[start]]])
    return [
        Segment(int(rows[start[i]]), int(rows[stop[i] - 1]), int(parent[i]))
        for i in chosen.tolist()
    ]


def prefixes(segments: list[Segment], glyphs: tuple[str, str, str]) -> list[tuple[str, str]]:
    """What stands before the first row of each segment, and before its others.

    ``glyphs``: a branch, the last branch, and what goes past one. An only child needs no mark: it
    is where the row above goes on.
    """
    branch, last_branch, past = glyphs
    children: dict[int, list[int]] = {}
    for number, segment in enumerate(segments):
        children.setdefault(segment.parent, []).append(number)
    found: list[tuple[str, str]] = []
    for number, segment in enumerate(segments):
        base = found[segment.parent][1] if segment.parent >= 0 else ""
        siblings = children[segment.parent]
        if len(siblings) == 1:
            found.append((base, base))
        elif number == siblings[-1]:
            found.append((base + last_branch, base + " " * len(past)))
        else:
            found.append((base + branch, base + past))
    return found


def print_tree(
    screen: Screen,
    profile: Profile,
    tree: StackTree,
    metric: Metric,
    options: TreeOptions,
    *,
    lines: int,
    least: float,
) -> None:
    """The branches of ``tree`` (figures: the metric, and what is beside it) that ``outline`` picks.

    ``least``: part of the whole, 0 to 1, that a branch has to have.
    """
    whole = int(tree.inclusive[0, 0])
    if not whole:
        screen.line("nothing", "dim")
        return
    segments = outline(tree, round(least * whole), lines)
    own = np.append(profile.locations.origin == Origin.OWN, False)[tree.location]
    glyphs = ("├ ", "└ ", "│ ") if screen.glyphs.blocks else ("|-", "`-", "| ")
    rows: list[tuple[int, str, str]] = [(0, "", "")]  # row, what is before it, text instead
    for segment, (head, rest) in zip(segments, prefixes(segments, glyphs)):
        for index, row in enumerate(chain(segment, own)):
            gap = f"{screen.glyphs.ellipsis} {units.count(-row)} more frames"
            rows.append((row, rest if index else head, gap if row < 0 else ""))
    _print_rows(screen, profile, tree, metric, options, rows)
    _left_out(screen, tree, metric, segments, least)


def _print_rows(
    screen: Screen,
    profile: Profile,
    tree: StackTree,
    metric: Metric,
    options: TreeOptions,
    rows: list[tuple[int, str, str]],
) -> None:
    cells = _cells(tree, metric, [row for row, _, _ in rows])
    room = screen.width - sum(max(map(len, column)) + GAP for column in zip(*cells))
    labels = []
    for row, prefix, instead in rows:
        label = Label(instead or "everything", own=row == 0)
        if row > 0:
            at = int(tree.location[row])
            label = place_label(profile, options.by_of(profile, at), at)
            merged = options.templates and label.language != Language.PYTHON
            if merged and options.by_of(profile, at) == "function":
                label.name = options.function_of(profile, at)
        label.clean(screen)
        label.prefix = prefix[-(room // 2) :]  # of a deep branch the near end
        labels.append(label)
    head = heads(options.by)
    widths = divide([head, *labels], room)
    grid = [[Text(cell, "dim") for cell in (*cells[0], head.name, head.place)]]
    for (row, _, _), line, label in zip(rows, cells[1:], labels):
        name, place = write_label(screen, label, options.by, *widths)
        if row <= 0:  # words, not a name: they begin with what counts
            name = screen.head(label.name, max(widths[0] - len(label.prefix), 1))
        text = Text(label.prefix, "dim") + Text(name, "bold" if label.own else "dim")
        grid.append([*(Text(cell) for cell in line), text, Text(place, "dim")])
    screen.grid(grid, "r" * len(cells[0]) + "ll", gap=GAP)


def _cells(tree: StackTree, metric: Metric, rows: list[int]) -> list[list[str]]:
    """The figures of each row, below their heads; without own ones, if no row has any to show."""
    figure = units.size if metric.unit == "bytes" else units.count
    whole = int(tree.inclusive[0, 0])
    cells = [["share", "bytes" if metric.unit == "bytes" else "count", "itself"]]
    for row in rows:
        value, own = int(tree.inclusive[row, 0]), int(tree.own[row, 0])
        shown = figure(own) if own and not tree.inverted else ""
        cells.append([units.percent(value / whole), figure(value), shown] if row >= 0 else [""] * 3)
    return cells if any(line[2] for line in cells[1:]) else [line[:2] for line in cells]


def _left_out(
    screen: Screen, tree: StackTree, metric: Metric, segments: list[Segment], least: float
) -> None:
    shown = np.zeros(len(tree), np.bool_)
    shown[0] = True
    for segment in segments:
        shown[segment.first : segment.last + 1] = True
    cut = ~shown & shown[tree.parent] & (tree.inclusive[:, 0] != 0)
    if not cut.any():
        return
    # What is below a row is in its figure: it is not left out, only not told apart.
    apart = cut & (tree.parent == 0)
    rest = int(tree.inclusive[apart, 0].sum())
    figure = units.size(rest) if metric.unit == "bytes" else units.count(rest)
    parts = []
    if rest:
        branches = units.some(int(apart.sum()), "smaller branch", "smaller branches")
        parts.append(f"{figure} in {branches}")
    below = int((cut & ~apart).sum())
    if below:
        parts.append(f"{units.some(below, 'smaller branch', 'smaller branches')} of those above")
    text = f"left out: {' and '.join(parts)}: see --top 0 --least 0"
    if least:
        text += f" (below {units.percent(least)}, or beyond --top)"
    for line in Text(text, "dim").wrap(screen.console, max(screen.width, 20)):
        screen.line(line)
