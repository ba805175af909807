"""A profile as the tables of the page: places, stack nodes, samples, and what changed when.

A sample is what the recorder calls a context: a stack, told apart by thread, process and kind of
memory. Nothing loops over nodes, samples or changes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from heaptide.profile import COLUMNS, LEAK_COLUMNS, LEAKED

from .bins import Changes, changes_of

if TYPE_CHECKING:
    from heaptide.profile import Profile

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

FIGURES = COLUMNS + LEAK_COLUMNS
_POSITION = ("function", "file", "module", "line", "column", "end_line", "end_column")
PLACE = (*_POSITION, "language", "origin", "kind")
"""Columns of places; the first three are numbers of texts."""


@dataclass(frozen=True)
class Births:
    """Rows of the recording's births (heaptide.recording.Births), by sample."""

    time: Ints
    sample: Ints
    born: Ints
    died: Ints
    blocks: Ints
    bytes: Ints


@dataclass(frozen=True)
class Histogram:
    """Counts other than 0, by sample and bucket."""

    sample: Ints
    bucket: Ints
    count: Ints


@dataclass(frozen=True)
class Tables:
    """Everything but the header. References are rows of the tables they name."""

    texts: list[str]
    places: dict[str, Ints]  # PLACE
    parent: Ints  # of each node; -1: outermost. A parent comes before its children
    place: Ints  # of each node
    node: Ints  # of each sample
    site: Ints  # of each sample: the place that it is charged to
    thread: Ints  # row + 1; 0: not known
    process: Ints
    kind: Ints
    figures: Ints  # (samples, len(FIGURES))
    changes: Changes
    births: Births
    sizes: Histogram
    lifetimes: Histogram  # by time
    ages: Histogram  # by further allocations of the thread
    base: Ints | None = None  # figures of the older recording, in a difference

    @property
    def samples(self) -> int:
        return len(self.node)


def tables_of(profile: Profile, *, bins: int) -> Tables:
    """The tables of what ``profile`` selects, in at most about ``bins`` spans of time."""
    recording, locations = profile.recording, profile.locations
    contexts = recording.contexts
    module, names = profile.modules
    places = {name: getattr(locations, name).astype(np.int64) for name in PLACE}
    places["module"] = module + len(locations.texts)
    rows = np.flatnonzero(used_contexts(profile))
    number = np.full(len(contexts), -1, np.int64)
    number[rows] = np.arange(len(rows))
    births = recording.births
    born = number[births.context]
    kept = np.flatnonzero(born >= 0)
    sizes, lifetimes = recording.sizes, recording.lifetimes
    return Tables(
        texts=[*locations.texts, *names],
        places=places,
        parent=profile.tree.parent,
        place=profile.node_location,
        node=profile.context_node[rows],
        site=profile.context_site[rows],
        thread=contexts.thread[rows].astype(np.int64) + 1,
        process=np.maximum(contexts.process[rows].astype(np.int64), 0),
        kind=contexts.kind[rows].astype(np.int64),
        figures=profile.figures_for(LEAKED)[rows],
        changes=changes_of(recording, number, bins),
        births=Births(
            births.times,
            born[kept],
            births.born[kept],
            births.died[kept],
            births.blocks[kept],
            births.bytes[kept],
        ),
        sizes=_histogram(number, sizes.context, sizes.counts),
        lifetimes=_histogram(number, lifetimes.context, lifetimes.by_time),
        ages=_histogram(number, lifetimes.context, lifetimes.by_allocations),
    )


def used_contexts(profile: Profile) -> Bools:
    """True for the contexts that have something to say and are selected."""
    return np.asarray(profile.figures.any(axis=1))


def _histogram(number: Ints, context: npt.NDArray[np.int32], counts: Ints) -> Histogram:
    row, bucket = np.nonzero(counts)
    sample = number[context[row]]
    known = sample >= 0
    return Histogram(sample[known], bucket[known].astype(np.int64), counts[row, bucket][known])


def regrouped(tables: Tables, number: Ints, first: Ints) -> Tables:
    """``tables`` with sample i become sample ``number[i]``; figures of those that fall together
    add up. ``first``: for each new sample one of the old, whose node and owner it keeps."""

    def summed(figures: Ints) -> Ints:
        sums = np.zeros((len(first), figures.shape[1]), np.int64)
        np.add.at(sums, number, figures)
        return sums

    return replace(
        tables,
        node=tables.node[first],
        site=tables.site[first],
        thread=tables.thread[first],
        process=tables.process[first],
        kind=tables.kind[first],
        figures=summed(tables.figures),
        base=None if tables.base is None else summed(tables.base),
        changes=tables.changes.regrouped(number),
        births=_regrouped_births(tables.births, number),
        sizes=_regrouped_histogram(tables.sizes, number),
        lifetimes=_regrouped_histogram(tables.lifetimes, number),
        ages=_regrouped_histogram(tables.ages, number),
    )


def sum_rows(keys: tuple[Ints, ...], figures: tuple[Ints, ...]) -> tuple[Ints, ...]:
    """Rows with equal keys become one, in ascending order of keys: their keys, and the sums."""
    if not len(keys[0]):
        return (*keys, *figures)
    order = np.lexsort(keys[::-1])
    ordered = [key[order] for key in keys]
    fresh = np.zeros(len(order), np.bool_)
    fresh[0] = True
    for key in ordered:
        fresh[1:] |= key[1:] != key[:-1]
    starts = np.flatnonzero(fresh)
    sums = (np.add.reduceat(figure[order], starts) for figure in figures)
    return (*(key[starts] for key in ordered), *sums)


def _regrouped_births(births: Births, number: Ints) -> Births:
    keys = (number[births.sample], births.born, births.died)
    return Births(births.time, *sum_rows(keys, (births.blocks, births.bytes)))


def _regrouped_histogram(histogram: Histogram, number: Ints) -> Histogram:
    keys = (number[histogram.sample], histogram.bucket)
    return Histogram(*sum_rows(keys, (histogram.count,)))
