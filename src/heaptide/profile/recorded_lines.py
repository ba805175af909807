"""What is known of the lines of a recording: who is called from them, and where in them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from heaptide.recording import FrameKind

if TYPE_CHECKING:
    from .profile import Profile
    from .shared import Shared

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

ONLY_OLD = 1 << 31
"""Larger than any line. Added to numbers of lines that the newer recording does not have."""

_MOST_CELLS = 4_000_000  # of a table of what lines have


@dataclass(frozen=True)
class Sets:
    """A set of numbers for each row: ``members[first[i]:first[i + 1]]``, ascending."""

    first: Ints
    members: Ints

    def of(self, rows: slice) -> Ints:
        """The members of all ``rows``."""
        return self.members[self.first[rows.start] : self.first[rows.stop]]

    def table(self, rows: slice, universe: Ints) -> Floats:
        """For each of ``rows`` which numbers of ``universe`` it has: 1 or 0."""
        sizes = np.diff(self.first[rows.start : rows.stop + 1])
        found = np.zeros((len(sizes), len(universe)))
        owner = np.repeat(np.arange(len(sizes)), sizes)
        found[owner, np.searchsorted(universe, self.of(rows))] = 1.0
        return found


def likeness(a: Sets, rows: slice, b: Sets, columns: slice) -> Floats:
    """For each pair of rows the part that is in both, 0 to 1; -1: nothing; 0: one is empty."""
    universe = np.union1d(a.of(rows), b.of(columns))
    shape = rows.stop - rows.start, columns.stop - columns.start
    if len(universe) * max(shape) > _MOST_CELLS:
        return np.zeros(shape)
    ours, theirs = a.table(rows, universe), b.table(columns, universe)
    common = ours @ theirs.T
    sizes = ours.sum(axis=1)[:, None], theirs.sum(axis=1)[None, :]
    every = np.maximum(sizes[0] + sizes[1] - common, 1.0)
    found = np.where(common > 0, common / every, -1.0)
    return np.where((sizes[0] == 0) | (sizes[1] == 0), 0.0, found)


@dataclass(frozen=True)
class Lines:
    """Lines of one recording, a row for each function and line, ascending by both."""

    function: Ints
    file: Ints
    line: Ints
    calls: Sets  # the functions that are called from it
    columns: Sets  # what tells where in the line something is done
    start: Ints  # the function's first line; 0: not known, or several

    def rows(self, function: int) -> slice:
        first, stop = np.searchsorted(self.function, (function, function + 1)).tolist()
        return slice(first, stop)

    def __len__(self) -> int:
        return len(self.line)


def alike(a: Sets, row: int, b: Sets, other: int) -> float:
    """``likeness`` of two rows."""
    ours = set(a.of(slice(row, row + 1)).tolist())
    theirs = set(b.of(slice(other, other + 1)).tolist())
    if not ours or not theirs:
        return 0.0
    return len(ours & theirs) / len(ours | theirs) if ours & theirs else -1.0


def lines_of(shared: Shared, side: int, function: Ints, line: Ints) -> Lines:
    """The rows of one recording. What is called is told by numbers that both share."""
    profile = shared.profiles[side]
    rows = np.flatnonzero(line > 0)
    pairs, first, inverse = np.unique(
        function[rows] * ONLY_OLD + line[rows], return_index=True, return_inverse=True
    )
    pair_of = np.full(len(line), -1, np.int64)
    pair_of[rows] = inverse.reshape(-1)
    return Lines(
        function=pairs // ONLY_OLD,
        file=shared.split(shared.file)[side][rows[first]],
        line=pairs % ONLY_OLD,
        calls=_calls(profile, pair_of, function, len(pairs)),
        columns=_columns(profile, pair_of, len(pairs)),
        start=_starts(profile, function, rows)[pairs // ONLY_OLD],
    )


def _calls(profile: Profile, pair_of: Ints, function: Ints, count: int) -> Sets:
    inside = np.flatnonzero(profile.tree.parent >= 0)
    caller = pair_of[profile.node_location[profile.tree.parent[inside]]]
    called = function[profile.node_location[inside]]
    return _sets(caller[caller >= 0], called[caller >= 0], count)


def _columns(profile: Profile, pair_of: Ints, count: int) -> Sets:
    at = profile.locations
    rows = np.flatnonzero((pair_of >= 0) & (at.column > 0))
    number = np.zeros(len(rows), np.int64)
    for part in (at.column, at.end_column, np.maximum(at.end_line - at.line, 0)):
        number = number * 1_000_003 + part[rows]  # the same for equal ones of any two recordings
    return _sets(pair_of[rows], number, count)


def _sets(owner: Ints, member: Ints, count: int) -> Sets:
    order = np.lexsort((member, owner))
    owner, member = owner[order], member[order]
    fresh = np.append(True, (np.diff(owner) != 0) | (np.diff(member) != 0))[: len(owner)]
    return Sets(np.searchsorted(owner[fresh], np.arange(count + 1)), member[fresh])


def _starts(profile: Profile, function: Ints, rows: Ints) -> Ints:
    """For each function the line that its code begins at, where it has one code."""
    at, recording = profile.locations, profile.recording
    found = np.zeros(int(function.max(initial=0)) + 1, np.int64)
    python = rows[at.kind[rows] == FrameKind.PYTHON]
    frame = np.repeat(np.arange(len(at.count)), at.count)
    code = recording.frames.ref[frame[python]]
    begins = recording.codes.firstlineno[code].astype(np.int64)
    pairs = np.unique(np.stack([function[python], begins]), axis=1)
    distinct, first, count = np.unique(pairs[0], return_index=True, return_counts=True)
    found[distinct] = np.where(count == 1, pairs[1][first], 0)
    # A module's own code begins at the file's first line, wherever the rest of it moves to.
    module = np.array([text == "<module>" for text in at.texts], np.bool_)
    found[function[python[module[at.function[python]]]]] = 0
    return found
