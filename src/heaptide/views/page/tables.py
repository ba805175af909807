"""The tables of the page: places, stack nodes, samples, and what changed when.

A sample is what the recorder calls a context: a stack, told apart by thread, process and kind of
memory. Nothing loops over nodes, samples or changes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from heaptide.profile import COLUMNS, LEAK_COLUMNS
from heaptide.recording import every_second

from .bins import Changes
from .exits import Exits
from .rows import Column, Ints, grouped, narrow
from .spreads import Spreads

FIGURES = COLUMNS + LEAK_COLUMNS
EXTRA = "extra_"
"""What columns of a foreign format's own figures begin with, before the metric's name."""
TEXTS = ("function", "file", "module", "old_file")
"""Columns of places that are numbers of texts."""
_POSITION = ("line", "old_line", "column", "end_line", "end_column")
PLACE = (*TEXTS, *_POSITION, "language", "origin", "kind")
"""Columns of places. In a comparison, a line that only the older recording has and that has no
number in the newer one is told by its ``old_file`` and ``old_line``, else 0."""
OLD = ("old_file", "old_line")
"""Those that only comparisons have."""


@dataclass(frozen=True)
class Births:
    """Rows of the recording's births (heaptide.recording.Births), by sample."""

    time: Ints
    sample: Ints
    born: Ints
    died: Ints
    blocks: Ints
    bytes: Ints

    @classmethod
    def none(cls) -> Births:
        return cls(*(np.zeros(0, np.int64) for _ in range(6)))

    def behind(self, samples: int) -> Births:
        """With sample i become ``samples + i``."""
        return replace(self, sample=self.sample + samples)

    def regrouped(self, number: Ints) -> Births:
        """With sample i become ``number[i]``."""
        return self._summed(number[self.sample], self.born, self.died, self.time)

    def coarser(self) -> Births:
        """With every second moment left out, the last one kept; rows go on adding up."""
        time, born, died = every_second(self.time, self.born, self.died)
        return self._summed(self.sample, born, died, time)

    def _summed(self, sample: Ints, born: Ints, died: Ints, time: Ints) -> Births:
        groups = grouped([sample, born, died])
        first = groups.first
        lived = np.flatnonzero(born[first] < died[first])  # at one of the moments that are left
        sums = (groups.sum(column)[lived] for column in (self.blocks, self.bytes))
        return Births(time, *(column[first][lived] for column in (sample, born, died)), *sums)


@dataclass(frozen=True)
class Histogram:
    """Counts other than 0, by sample and bucket."""

    sample: Column
    bucket: Column
    count: Column

    @classmethod
    def none(cls) -> Histogram:
        return cls(*(np.zeros(0, np.int64) for _ in range(3)))

    def regrouped(self, number: Ints) -> Histogram:
        """With sample i become ``number[i]``."""
        return summed_histogram(number[self.sample], self.bucket, self.count)

    def of(self, chosen: Column) -> Histogram:
        """Of the samples for which ``chosen`` is true."""
        rows = np.flatnonzero(chosen[self.sample])
        return Histogram(self.sample[rows], self.bucket[rows], self.count[rows])


def summed_histogram(sample: Column, bucket: Column, count: Column) -> Histogram:
    """Rows of one sample and bucket become one."""
    groups = grouped([sample, bucket])
    first = groups.first
    return Histogram(
        sample[first].astype(np.int32), bucket[first].astype(np.int8), narrow(groups.sum(count))
    )


@dataclass(frozen=True)
class Side:
    """What samples are and did in one recording: in a difference there are two."""

    figures: Ints  # (samples, FIGURES and extras), in whatever signed type holds them
    changes: Changes
    births: Births
    exits: Exits  # in a difference only: there samples belong to no process

    def among(self, before: int, after: int) -> Side:
        """With so many other samples before and after its own, of which it knows nothing."""
        return Side(
            np.pad(self.figures, ((before, after), (0, 0))),
            self.changes.behind(before),
            self.births.behind(before),
            self.exits.behind(before),
        )

    def regrouped(self, number: Ints) -> Side:
        """With sample i become ``number[i]``."""
        return Side(
            grouped([number]).sum(self.figures),
            self.changes.regrouped(number),
            self.births.regrouped(number),
            self.exits.regrouped(number),
        )


@dataclass(frozen=True)
class Tables:
    """Everything but the header. References are rows of the tables they name."""

    texts: list[str]
    places: dict[str, Ints]  # PLACE
    parent: Ints  # of each node; -1: outermost. A parent comes before its children
    place: Ints  # of each node
    node: Ints  # of each sample
    site: Ints  # of each sample: the node that it is charged to, its own or one around it
    thread: Ints  # row + 1; 0: not known
    process: Ints
    kind: Ints
    new: Side
    sizes: Histogram
    lifetimes: Histogram  # by time
    ages: Histogram  # by further allocations of the thread
    base: Side | None = None  # of the older recording, in a difference
    spreads: Spreads = field(default_factory=Spreads.none)
    extras: tuple[str, ...] = ()  # columns of figures behind FIGURES: a foreign format's own

    @property
    def samples(self) -> int:
        return len(self.node)

    @property
    def sides(self) -> tuple[Side, ...]:
        """Of the newer recording, and in a difference of the older one."""
        return (self.new,) if self.base is None else (self.new, self.base)

    def with_sides(self, of: Callable[[Side], Side]) -> Tables:
        """With each side become what ``of`` makes of it."""
        return replace(self, new=of(self.new), base=self.base and of(self.base))


def regrouped(tables: Tables, number: Ints, first: Ints) -> Tables:
    """``tables`` with sample i become sample ``number[i]``; figures of those that fall together
    add up. ``first``: for each new sample one of the old, whose node and owner it keeps."""
    return replace(
        tables.with_sides(lambda side: side.regrouped(number)),
        node=tables.node[first],
        site=tables.site[first],
        thread=tables.thread[first],
        process=tables.process[first],
        kind=tables.kind[first],
        sizes=tables.sizes.regrouped(number),
        lifetimes=tables.lifetimes.regrouped(number),
        ages=tables.ages.regrouped(number),
    )
