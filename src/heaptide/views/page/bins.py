"""What changed in each of some hundred spans of time, for each sample."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from .rows import Column, Ints, grouped, narrow

if TYPE_CHECKING:
    from heaptide.recording import Recording

CHANGES = (
    "bytes_in",
    "bytes_out",
    "blocks_in",
    "blocks_out",
    "reallocations",
    "copied_bytes",
    "temporary",
    "short_lived",
)


@dataclass(frozen=True)
class Focus:
    """Where spans of time are finer, from ``start`` to ``end`` (ns; equal: nowhere), and moments
    ``cuts`` at which they part besides, as nearly as slices do."""

    start: int = 0
    end: int = 0
    cuts: tuple[int, ...] = ()


_Part = tuple[Column, list[Column]]  # samples, and their figures


@dataclass(frozen=True)
class Changes:
    """Bin i has rows ``offsets[i]:offsets[i + 1]``, in order of samples. Columns are as narrow as
    their numbers: convert before adding up."""

    start: Ints  # of each bin, nanoseconds
    end: Ints
    offsets: Ints
    sample: Column
    columns: dict[str, Column]  # CHANGES

    def __len__(self) -> int:
        return len(self.start)

    @classmethod
    def none(cls) -> Changes:
        """Of no time at all."""
        nothing = np.zeros(0, np.int64)
        return _joined(nothing, nothing, [])

    def _part(self, first: int, stop: int) -> _Part:
        rows = slice(int(self.offsets[first]), int(self.offsets[stop]))
        return self.sample[rows], [self.columns[name][rows] for name in CHANGES]

    def behind(self, samples: int) -> Changes:
        """With sample i become ``samples + i``."""
        return replace(self, sample=self.sample + np.int32(samples))

    def regrouped(self, number: Ints) -> Changes:
        """With sample i become ``number[i]``."""
        parts = []
        for index in range(len(self)):
            sample, figures = self._part(index, index + 1)
            parts.append(_summed(number[sample], figures))
        return _joined(self.start, self.end, parts)

    def coarser(self) -> Changes:
        """With half as many bins."""
        firsts = range(0, len(self), 2)
        stops = [min(first + 2, len(self)) for first in firsts]
        parts = [_summed(*self._part(first, stop)) for first, stop in zip(firsts, stops)]
        ends = self.end[[stop - 1 for stop in stops]] if stops else self.end
        return _joined(self.start[::2], ends, parts)


def changes_of(recording: Recording, number: Column, edges: Ints) -> Changes:
    """The recording's slices in the spans that ``edges_of`` made.

    ``number``: the sample of each context; -1: none. Memory is that of the result and of a bin.
    """
    slices = recording.slices
    parts: list[_Part] = []
    for first, stop in zip(edges[:-1].tolist(), edges[1:].tolist()):
        rows = recording.deltas(first, stop)
        sample = number[rows.context]
        known = np.flatnonzero(sample >= 0)
        parts.append(_summed(sample[known], [getattr(rows, name)[known] for name in CHANGES]))
    # A bin reaches to where the next begins: nothing changed in between.
    starts, ends = slices.start[edges[:-1]], slices.end[edges[1:] - 1]
    if len(starts):
        starts = np.append(0, starts[1:])
    return _joined(starts, ends, parts)


def edges_of(recording: Recording, bins: int, focus: Focus | None = None) -> Ints:
    """Rows of slices at which bins begin, at most ``bins`` spans of about equal length, and the
    number of slices. Where the recorder has counted what lives there is an edge, so that a range
    between two such moments can be shown exactly. ``focus``: with as many again there."""
    edges = _even(recording, bins)
    if focus is None or len(edges) < 2:
        return edges
    slices = recording.slices
    cuts = np.searchsorted(slices.start, np.array((focus.start, focus.end, *focus.cuts), np.int64))
    first = int(np.searchsorted(slices.end, focus.start, side="right"))
    stop = int(np.searchsorted(slices.start, focus.end))
    if focus.start >= focus.end or first >= stop:
        return np.union1d(edges, cuts[2:])
    starts = slices.start[first:stop].astype(np.float64)
    length = max(float(slices.end[stop - 1]) - starts[0], 1.0)
    bin_of = ((starts - starts[0]) / length * bins).astype(np.int64)
    fresh = first + np.flatnonzero(np.append(True, np.diff(bin_of) != 0))
    return np.union1d(edges, np.concatenate([fresh, cuts]))


def _even(recording: Recording, bins: int) -> Ints:
    slices, moments = recording.slices, recording.births.times
    if not len(slices):
        return np.zeros(1, np.int64)
    age = np.searchsorted(moments, slices.end)
    # Each moment may part a span of equal length in two.
    bins = max(bins - len(np.unique(age)) + 1, 1)
    span = max(int(slices.end[-1]), 1)
    bin_of = np.minimum(slices.start.astype(np.float64) / span * bins, bins - 1).astype(np.int64)
    fresh = np.append(True, (np.diff(bin_of) != 0) | (np.diff(age) != 0))
    return np.append(np.flatnonzero(fresh), len(slices)).astype(np.int64)


def _summed(sample: Column, figures: list[Column]) -> _Part:
    """Rows of one sample become one; without those that are all zero."""
    groups = grouped([sample])
    distinct = sample[groups.first]
    sums = [groups.sum(column) for column in figures]
    used = np.zeros(len(distinct), np.bool_)
    for column in sums:
        used |= column != 0
    return distinct[used].astype(np.int32), [narrow(column[used]) for column in sums]


def _joined(start: Ints, end: Ints, parts: list[_Part]) -> Changes:
    offsets = np.cumsum([0, *(len(sample) for sample, _ in parts)]).astype(np.int64)
    nothing = np.zeros(0, np.int32)
    samples = [sample for sample, _ in parts] or [nothing]
    columns = {
        name: np.concatenate([figures[i] for _, figures in parts] or [nothing])
        for i, name in enumerate(CHANGES)
    }
    return Changes(start, end, offsets, np.concatenate(samples), columns)
