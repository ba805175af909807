"""How the live bytes of samples changed over time: what a comparison shows of it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from .bins import Changes
from .rows import Column, Ints, grouped


@dataclass(frozen=True)
class Lives:
    """Rows of spans of time, in order of spans and of samples in them."""

    start: Ints  # of each span, nanoseconds; nothing changed since the one before
    end: Ints
    span: Ints  # of each row
    sample: Ints
    bytes: Ints  # that live more at the span's end than at that of the span before; not 0

    def __len__(self) -> int:
        return len(self.end)

    def regrouped(self, number: Ints) -> Lives:
        """With sample i become ``number[i]``."""
        return _summed((self.start, self.end), self.span, number[self.sample], self.bytes)

    def behind(self, samples: int) -> Lives:
        """With sample i become ``samples + i``."""
        return replace(self, sample=self.sample + samples)

    def coarser(self) -> Lives:
        """With half as many spans."""
        ends = np.append(self.end[1::2], self.end[-1:] if len(self) % 2 else self.end[:0])
        return _summed((self.start[::2], ends), self.span // 2, self.sample, self.bytes)


def lives_of(changes: Changes, process: Column, ended: Ints) -> Lives:
    """What ``changes`` left alive. ``process``: of each sample; ``ended``: when each process did,
    nanoseconds, 0: not. What an ended process held lives no more in the first span after it."""
    span = np.repeat(np.arange(len(changes)), np.diff(changes.offsets))
    sample = changes.sample.astype(np.int64)
    change = changes.columns["bytes_in"].astype(np.int64)
    change = change - changes.columns["bytes_out"]
    gone = np.where(ended > 0, np.searchsorted(changes.start, ended), len(changes))
    last = gone[process[sample]] if len(sample) else span
    within = span <= last
    left = within & (last < len(changes))
    return _summed(
        (changes.start, changes.end),
        np.append(span[within], last[left]),
        np.append(sample[within], sample[left]),
        np.append(change[within], -change[left]),
    )


def _summed(time: tuple[Ints, Ints], span: Ints, sample: Ints, change: Ints) -> Lives:
    groups = grouped([span, sample])
    sums = groups.sum(change)
    rows = groups.first[sums != 0]
    return Lives(*time, span[rows], sample[rows], sums[sums != 0])
