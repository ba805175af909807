"""Where the lines of one recording are in another, of a program that was edited in between.

Only lines that were recorded are known, not the text. A line is the same in both if its place
among the lines of its function is: what is called from it, its columns, and how far the function
has moved say which of them it is. Lines of files in which nothing moved match by their numbers.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from .fold import combine
from .recorded_lines import ONLY_OLD, Lines, alike, likeness, lines_of

if TYPE_CHECKING:
    from .shared import Shared

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]

_MOST_LINES = 400  # of one function: beyond that lines match by their numbers
# What tells that two lines of a function are one, each by itself: that the same functions are
# called from it, that it has the same columns (as much against it if nothing is the same), and how
# far it would have moved: as far as what is above it, where that is known; else not at all, or as
# far as most lines of the function that look the same.
_CALLS, _COLUMNS, _NUMBER, _SHIFT = 1.5, 1.5, 1.5, 1.0
_MARGIN = 1.0  # how much has to be gained, in a file that nothing else has moved in


def moved_lines(shared: Shared) -> Ints:
    """For each location of both its line as the newer recording has it; 0: not known.

    A line that is only in the older one keeps its number plus ``ONLY_OLD``.
    """
    line = shared.join("line")
    known = (line > 0) & (shared.file > 0)
    line = np.where(known, np.minimum(line, ONLY_OLD - 1), 0)
    if not known[shared.is_old].any():
        return line
    # Most functions match by name and file; one that was moved to another file has no partner.
    function = combine(shared.function, shared.file)
    old, new = (
        lines_of(shared, side, function_of, line_of)
        for side, function_of, line_of in zip((0, 1), shared.split(function), shared.split(line))
    )
    target, moved = _targets(old, new)
    found = line.copy()
    rows = np.flatnonzero(shared.is_old & known)
    wanted = shared.file[rows] * ONLY_OLD + line[rows]
    places, lines = _by_file(old, new, target, moved)
    found[rows] = lines[np.searchsorted(places, wanted)]
    return found


def _targets(old: Lines, new: Lines) -> tuple[Ints, Ints]:
    """For each row of ``old`` the line of ``new`` that it is, 0: none; and the files that moved."""
    ours, theirs = old.function * ONLY_OLD + old.line, new.function * ONLY_OLD + new.line
    target = np.where(np.isin(ours, theirs), old.line, 0)
    sure = np.zeros(len(old), np.bool_)
    lost = old.function[target == 0]
    fresh = new.function[~np.isin(theirs, ours)]
    differing = np.intersect1d(np.union1d(lost, fresh), np.intersect1d(old.function, new.function))
    starts = _moved_starts(old, new)
    shifts = _expected(old, *starts)
    whole = np.isin(old.function, differing) & _moved_whole(old, ours, new, theirs, shifts)
    target[whole], sure[whole] = old.line[whole] + shifts[0][whole], True
    differing = np.setdiff1d(differing, old.function[whole])
    for function in differing.tolist():
        rows = old.rows(function)
        target[rows], sure[rows] = _aligned(old, new, function, shifts, _MARGIN)
    moved = np.unique(old.file[sure & (target != old.line)])
    # In a file where something moved, lines of equal numbers need not be the same: each moved as
    # what is known of the lines above it.
    known = np.flatnonzero(sure)
    places = np.append(starts[0], old.file[known] * ONLY_OLD + old.line[known])
    by = np.append(starts[1], target[known] - old.line[known])
    shifts = _expected(old, places, by)
    for function in differing.tolist():
        rows = old.rows(function)
        if old.file[rows.start] in moved:
            found, _ = _aligned(old, new, function, shifts, 0.0)
            target[rows] = _filled(found, new.line[new.rows(function)])
    return target, moved


def _moved_starts(old: Lines, new: Lines) -> tuple[Ints, Ints]:
    """Where functions begin (file * ONLY_OLD + line) whose first line both know, and its shift."""
    _, ours, theirs = np.intersect1d(old.function, new.function, return_indices=True)
    known = (old.start[ours] > 0) & (new.start[theirs] > 0)
    ours, theirs = ours[known], theirs[known]
    return old.file[ours] * ONLY_OLD + old.start[ours], new.start[theirs] - old.start[ours]


def _expected(old: Lines, places: Ints, by: Ints) -> tuple[Ints, Bools]:
    """For each row how far the last line above it has moved of which that is known; if any is."""
    if not len(places):
        return np.zeros(len(old), np.int64), np.zeros(len(old), np.bool_)
    order = np.lexsort((by, places))
    places, by = places[order], by[order]
    at = np.searchsorted(places, old.file * ONLY_OLD + old.line, side="right") - 1
    return by[at], (at >= 0) & (places[at] // ONLY_OLD == old.file)


def _moved_whole(
    old: Lines, ours: Ints, new: Lines, theirs: Ints, shifts: tuple[Ints, Bools]
) -> Bools:
    """For each row whether all lines of its function moved as expected, and there are no others."""
    hit = shifts[1] & np.isin(ours + shifts[0], theirs)
    count = int(max(old.function.max(initial=0), new.function.max(initial=0))) + 1
    sizes, others = (
        np.bincount(old.function, minlength=count),
        np.bincount(new.function, None, count),
    )
    whole = (np.bincount(old.function[hit], minlength=count) == sizes) & (sizes == others)
    return np.asarray(whole[old.function])


def _aligned(
    old: Lines, new: Lines, function: int, shifts: tuple[Ints, Bools], margin: float
) -> tuple[Ints, Bools]:
    """For each of the function's lines in ``old`` the line that it is in ``new``; 0: none.

    And for each whether more speaks for it than where it is.
    """
    ours, theirs = old.rows(function), new.rows(function)
    a, b = old.line[ours], new.line[theirs]
    same, unsure = np.where(np.isin(a, b), a, 0), np.zeros(len(a), np.bool_)
    if max(len(a), len(b)) > _MOST_LINES:
        return same, unsure
    if len(a) == len(b) == 1:
        return _one(old, ours.start, new, theirs.start, shifts)
    looks = _CALLS * likeness(old.calls, ours, new.calls, theirs)
    looks += _COLUMNS * likeness(old.columns, ours, new.columns, theirs)
    shift = b - a[:, None]
    speaks = looks + _position(shift, looks, shifts[0][ours], shifts[1][ours])
    total, pairs = _best(speaks)
    equal = speaks[shift == 0]
    if total - equal[equal > 0].sum() < margin:
        return same, unsure
    found, sure = np.zeros(len(a), np.int64), unsure
    for row, column in pairs:
        found[row] = b[column]
        sure[row] = looks[row, column] >= _CALLS / 2 or shifts[1][ours][row]
    return found, sure


def _one(
    old: Lines, row: int, new: Lines, other: int, shifts: tuple[Ints, Bools]
) -> tuple[Ints, Bools]:
    """The same for a function of one line, that has another number: most are of this kind."""
    looks = _CALLS * alike(old.calls, row, new.calls, other)
    looks += _COLUMNS * alike(old.columns, row, new.columns, other)
    line, known = new.line[other : other + 1], bool(shifts[1][row])
    position = _SHIFT
    if known:
        position = (_NUMBER + _SHIFT) * bool(line[0] - old.line[row] == shifts[0][row])
    if looks + position < _SHIFT:
        return np.zeros(1, np.int64), np.zeros(1, np.bool_)
    return line, np.array([known or looks >= _CALLS / 2])


def _position(shift: Ints, looks: Floats, expected: Ints, known: Bools) -> Floats:
    """How much the distance of each pair speaks for it."""
    by = _usual(shift[looks >= _CALLS / 2])
    if by is None and len(shift) == len(shift[0]) and len(set(shift.diagonal().tolist())) == 1:
        by = int(shift[0, 0])  # nothing but that all of them are as far from those of before
    guessed = _NUMBER * (shift == 0)
    if by is not None:
        guessed = guessed + _SHIFT * (shift == by)
    sure = (_NUMBER + _SHIFT) * (shift == expected[:, None])
    return np.asarray(np.where(known[:, None], sure, guessed))


def _usual(shifts: Ints) -> int | None:
    """How far most lines that look the same have moved."""
    votes = Counter(shifts.tolist())
    if not votes:
        return None
    most = max(votes.values())
    near = min(abs(shift) for shift, count in votes.items() if count == most)
    best = [shift for shift, count in votes.items() if count == most and abs(shift) == near]
    return best[0] if len(best) == 1 else None


def _best(speaks: Floats) -> tuple[float, list[tuple[int, int]]]:
    """The pairs, in order on both sides, with the largest sum; what nothing speaks for is none."""
    rows, columns = speaks.shape
    sums = np.zeros((rows + 1, columns + 1))
    for row in range(rows):
        paired = np.maximum(sums[row, 1:], sums[row, :-1] + speaks[row])
        sums[row + 1, 1:] = np.maximum.accumulate(paired)
    found = []
    row, column = rows, columns
    while row and column:
        here = sums[row, column]
        if here == sums[row, column - 1]:
            column -= 1
        elif here == sums[row - 1, column]:
            row -= 1
        else:
            row, column = row - 1, column - 1
            found.append((row, column))
    return float(sums[-1, -1]), found[::-1]


def _filled(target: Ints, lines: Ints) -> Ints:
    """As many lines as are left on both sides between two that match are paired, in order."""
    found = target.copy()
    edges = [-1, *np.flatnonzero(target > 0).tolist(), len(target)]
    for first, last in zip(edges[:-1], edges[1:]):
        low = target[first] if first >= 0 else 0
        high = target[last] if last < len(target) else ONLY_OLD
        between = lines[(lines > low) & (lines < high)]
        if len(between) == last - first - 1:
            found[first + 1 : last] = between
    return found


def _by_file(old: Lines, new: Lines, target: Ints, moved: Ints) -> tuple[Ints, Ints]:
    """The lines of each file (file * ONLY_OLD + line, ascending) and what each became.

    Where functions share a line, one that found it speaks for those that did not. A function that
    is not in the newer recording leaves its lines where they are, if nothing moved in their file:
    code may be inlined into another one there. No two lines become one.
    """
    place = old.file * ONLY_OLD + old.line
    lone = (target == 0) & ~np.isin(old.function, new.function) & ~np.isin(old.file, moved)
    lone &= np.isin(place, new.file * ONLY_OLD + new.line)
    target = np.where(lone, old.line, target)
    away = np.abs(target - old.line)
    order = np.lexsort((away, lone, target == 0, place))
    places, first = np.unique(place[order], return_index=True)
    line, became, guessed = (column[order][first] for column in (old.line, target, lone))
    goal = places - line + became
    nearest = np.lexsort((np.abs(became - line), guessed, goal))
    won = np.zeros(len(goal), np.bool_)
    won[nearest] = np.append(True, np.diff(goal[nearest]) != 0)[: len(goal)]
    return places, np.where(won & (became > 0), became, line + ONLY_OLD)
