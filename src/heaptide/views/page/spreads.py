"""How large blocks were and how long they lived in each span of time, by process and thread."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from heaptide.recording import SPREAD_AGES

from .rows import Column, Ints, grouped, narrow

if TYPE_CHECKING:
    from heaptide.profile import Profile

    from .owners import Together


@dataclass(frozen=True)
class Spreads:
    """Blocks by bucket (those of heaptide.recording.Spreads). Bin i has rows
    ``offsets[i]:offsets[i + 1]``. Processes and threads are numbered as those of samples."""

    offsets: Ints
    process: Column
    thread: Column
    bucket: Column
    count: Column

    @classmethod
    def none(cls) -> Spreads:
        """Nothing is known of them."""
        nothing = np.zeros(0, np.int64)
        return cls(np.zeros(1, np.int64), nothing, nothing, nothing, nothing)

    @property
    def known(self) -> bool:
        return len(self.count) > 0

    def coarser(self) -> Spreads:
        """With half as many bins."""
        return _joined(self._bin // 2, self, -(-(len(self.offsets) - 1) // 2))

    def renumbered(self, process: Ints, thread: Ints) -> Spreads:
        """With process i become ``process[i]``, and threads likewise, each another one."""
        return replace(self, process=process[self.process], thread=thread[self.thread])

    @property
    def _bin(self) -> Ints:
        return np.repeat(np.arange(len(self.offsets) - 1), np.diff(self.offsets))


def spreads_of(profile: Profile, edges: Ints, together: Together) -> Spreads:
    """Of the bins that begin at the slices ``edges`` (the last: where they end). Nothing where only
    some contexts are selected, of which it is not known, or nothing was recorded."""
    recording = profile.recording
    if profile.chosen is not None or not recording.has_spreads:
        return Spreads.none()
    process_of = np.maximum(recording.threads.process.astype(np.int64), 0)
    columns: list[list[Column]] = []
    for bin_, (first, stop) in enumerate(zip(edges[:-1].tolist(), edges[1:].tolist())):
        found = recording.spreads(first, stop)
        rows = np.ones(len(found), np.bool_)
        if recording.sample_interval:  # the order of samples says nothing of that of allocations
            rows = found.bucket >= SPREAD_AGES.stop
        if profile.processes is not None:
            rows &= np.isin(process_of[found.thread], profile.processes)
        bucket, count = found.bucket[rows], found.blocks[rows]
        columns.append([np.full(len(count), bin_), found.thread[rows], bucket, count])
    if not columns:
        return Spreads.none()
    number, row, bucket, count = (np.concatenate(column) for column in zip(*columns))
    thread, process = row + 1, process_of[row]
    thread[np.isin(row, together.threads)] = len(recording.threads) + 1
    gone = np.isin(process, together.processes)
    process[gone], thread[gone] = len(recording.processes), len(recording.threads) + 1
    whole = Spreads(np.zeros(1, np.int64), process, thread, bucket, count)
    return _joined(number, whole, len(edges) - 1)


def _joined(number: Ints, rows: Spreads, bins: int) -> Spreads:
    """Rows of bins ``number``, in order of these; those of one owner and bucket are one."""
    groups = grouped([number, rows.process, rows.thread, rows.bucket])
    first = groups.first
    offsets = np.append(0, np.cumsum(np.bincount(number[first], minlength=bins)))
    process, thread, bucket = (
        narrow(column[first]) for column in (rows.process, rows.thread, rows.bucket)
    )
    counts = narrow(groups.sum(rows.count))
    return Spreads(offsets.astype(np.int64), process, thread, bucket, counts)
