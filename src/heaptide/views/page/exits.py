"""What processes held when they ended: never freed, but no part of the live heap any more."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from .bins import Changes
from .rows import Column, Ints, grouped

if TYPE_CHECKING:
    from heaptide.recording import Recording


@dataclass(frozen=True)
class Exits:
    """Rows in order of bins, and of samples in them."""

    bin: Ints  # from whose end on it lives no more
    sample: Ints
    bytes: Ints
    blocks: Ints

    @classmethod
    def none(cls) -> Exits:
        return cls(*(np.zeros(0, np.int64) for _ in range(4)))

    def behind(self, samples: int) -> Exits:
        """With sample i become ``samples + i``."""
        return replace(self, sample=self.sample + samples)

    def regrouped(self, number: Ints) -> Exits:
        """With sample i become ``number[i]``."""
        return _summed(self.bin, number[self.sample], self.bytes, self.blocks)

    def coarser(self) -> Exits:
        """With half as many bins."""
        return _summed(self.bin // 2, self.sample, self.bytes, self.blocks)


def gone_at(recording: Recording, starts: Ints) -> Ints:
    """For each context the first of ``starts`` (ns, ascending) at which its process has ended;
    their number: at none."""
    ends = np.append(recording.processes.end.astype(np.int64), 0)  # the last: not known which
    gone = np.where(ends > 0, np.searchsorted(starts, ends), len(starts))
    return np.asarray(gone[recording.contexts.process])


def exits_of(recording: Recording, number: Column, changes: Changes) -> Exits:
    """``number``: the sample of each context, -1: none. Of a sample of several processes it is
    when the last one ended."""
    slices = recording.slices
    last = np.searchsorted(slices.end, changes.end)  # slice of each bin
    gone = gone_at(recording, slices.start[np.minimum(last, len(slices) - 1)])
    known = np.flatnonzero(number >= 0)
    of = np.zeros(int(number.max(initial=-1)) + 1, np.int64)
    np.maximum.at(of, number[known], gone[known])
    sample = changes.sample.astype(np.int64)
    index = np.repeat(np.arange(len(changes)), np.diff(changes.offsets))
    ends = np.maximum(index, of[sample])
    rows = np.flatnonzero(ends < len(changes))
    left = [
        changes.columns[f"{what}_in"].astype(np.int64) - changes.columns[f"{what}_out"]
        for what in ("bytes", "blocks")
    ]
    return _summed(ends[rows], sample[rows], *(column[rows] for column in left))


def _summed(index: Ints, sample: Ints, size: Ints, count: Ints) -> Exits:
    groups = grouped([index, sample])
    sizes, counts = groups.sum(size), groups.sum(count)
    held = (sizes != 0) | (counts != 0)
    rows = groups.first[held]
    return Exits(index[rows], sample[rows], sizes[held], counts[held])
