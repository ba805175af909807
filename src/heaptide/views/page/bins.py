"""What changed in each of some hundred spans of time, for each sample."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from heaptide.recording import Recording

Ints = npt.NDArray[np.int64]
Column = npt.NDArray[Any]

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

    def bin(self, index: int) -> tuple[Ints, Ints]:
        """Samples, and their figures shaped (rows, len(CHANGES))."""
        rows = slice(int(self.offsets[index]), int(self.offsets[index + 1]))
        figures = [self.columns[name][rows].astype(np.int64) for name in CHANGES]
        return self.sample[rows].astype(np.int64), np.stack(figures, axis=1)

    def regrouped(self, number: Ints) -> Changes:
        """With sample i become ``number[i]``."""
        parts = []
        for index in range(len(self)):
            sample, figures = self.bin(index)
            parts.append(_summed(number[sample], figures))
        return _joined(self.start, self.end, parts)

    def coarser(self) -> Changes:
        """With half as many bins."""
        parts = []
        for index in range(0, len(self), 2):
            both = [self.bin(i) for i in range(index, min(index + 2, len(self)))]
            parts.append(
                _summed(np.concatenate([s for s, _ in both]), np.concatenate([f for _, f in both]))
            )
        end = np.append(self.end[1::2], self.end[-1:] if len(self) % 2 else self.end[:0])
        return _joined(self.start[::2], end, parts)

    def none(self) -> Changes:
        """Without any time."""
        nothing = np.zeros(0, np.int64)
        return replace(_joined(nothing, nothing, []), columns=dict.fromkeys(CHANGES, nothing))


def changes_of(recording: Recording, number: Ints, bins: int) -> Changes:
    """The recording's slices in about ``bins`` spans of equal length.

    ``number``: the sample of each context; -1: none. Memory is that of the result and of a bin.
    """
    slices = recording.slices
    edges = _edges(recording, bins)
    starts: list[int] = []
    ends: list[int] = []
    parts: list[tuple[Ints, Ints]] = []
    for first, stop in zip(edges[:-1].tolist(), edges[1:].tolist()):
        pieces = []
        for index in range(first, stop):
            rows = recording.deltas(index, index + 1)
            sample = number[rows.context]
            known = sample >= 0
            columns = [getattr(rows, name)[known].astype(np.int64) for name in CHANGES]
            pieces.append((sample[known], np.stack(columns, axis=1)))
        parts.append(
            _summed(np.concatenate([s for s, _ in pieces]), np.concatenate([f for _, f in pieces]))
        )
        # A bin reaches to where the next begins: nothing changed in between.
        starts.append(int(slices.start[first]) if starts else 0)
        ends.append(int(slices.end[stop - 1]))
    return _joined(np.array(starts, np.int64), np.array(ends, np.int64), parts)


def _edges(recording: Recording, bins: int) -> Ints:
    """Rows of slices at which bins begin, and their number. Where the recorder has counted what
    lives there is an edge, so that a range between two such moments can be shown exactly."""
    slices = recording.slices
    if not len(slices):
        return np.zeros(1, np.int64)
    span = max(int(slices.end[-1]), 1)
    bin_of = np.minimum(slices.start * bins // span, bins - 1)
    age = np.searchsorted(recording.births.times, slices.end)
    fresh = np.append(True, (np.diff(bin_of) != 0) | (np.diff(age) != 0))
    return np.append(np.flatnonzero(fresh), len(slices)).astype(np.int64)


def _summed(sample: Ints, figures: Ints) -> tuple[Ints, Ints]:
    """Rows of one sample become one; without those that are all zero."""
    distinct, place = np.unique(sample, return_inverse=True)
    sums = np.zeros((len(distinct), figures.shape[1]), np.int64)
    np.add.at(sums, place, figures)
    used = sums.any(axis=1)
    return narrow(distinct[used]), narrow(sums[used])


def narrow(values: Column) -> Column:
    """``values``, none negative, in the narrowest type that holds them."""
    return values.astype(np.min_scalar_type(int(values.max(initial=0))))


def _joined(start: Ints, end: Ints, parts: list[tuple[Ints, Ints]]) -> Changes:
    offsets = np.cumsum([0, *(len(sample) for sample, _ in parts)]).astype(np.int64)
    samples = [sample for sample, _ in parts] or [np.zeros(0, np.uint8)]
    columns = {
        name: np.concatenate([figures[:, i] for _, figures in parts] or [np.zeros(0, np.uint8)])
        for i, name in enumerate(CHANGES)
    }
    return Changes(start, end, offsets, np.concatenate(samples), columns)
