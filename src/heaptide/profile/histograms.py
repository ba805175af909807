"""How large blocks were and how long they lived, counted by classes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from heaptide.recording import (
    LIFETIME_BOUNDS,
    LIFETIME_TIME_BOUNDS_NS,
    SIZE_BOUNDS,
    SPREAD_AGES,
    SPREAD_BUCKETS,
    SPREAD_SIZES,
    SPREAD_TIMES,
)

if TYPE_CHECKING:
    from heaptide.recording import Recording

    from .profile import Profile

Ints = npt.NDArray[np.int64]
Ids = npt.NDArray[np.int32]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Histogram:
    """``counts`` of classes by their ``bounds``; one class more than bounds, for what is beyond.

    ``inclusive``: a bound belongs to the class that it ends, else to the next one.
    """

    bounds: tuple[int, ...]
    counts: Ints
    inclusive: bool

    @property
    def total(self) -> int:
        return int(self.counts.sum())


def size_histogram(profile: Profile) -> Histogram:
    """Calls by the size they asked for, in bytes: allocations and reallocations.

    Of what the profile selects; of a range of time exactly, unless `is_estimate`.
    """
    table = profile.recording.sizes
    counts = _counts(profile, SPREAD_SIZES, table.context, table.counts, "blocks_in")
    return Histogram(SIZE_BOUNDS, counts, inclusive=True)


def lifetime_histogram(profile: Profile) -> Histogram:
    """Freed blocks by how long they lived, in nanoseconds. Of a range of time likewise: of what was
    freed in it."""
    table = profile.recording.lifetimes
    counts = _counts(profile, SPREAD_TIMES, table.context, table.by_time, "blocks_out")
    return Histogram(LIFETIME_TIME_BOUNDS_NS, counts, inclusive=False)


def age_histogram(profile: Profile) -> Histogram | None:
    """Freed blocks by how many allocations their thread made meanwhile; None: samples do not tell.

    Of a range of time likewise.
    """
    if profile.recording.sample_interval:
        return None
    table = profile.recording.lifetimes
    counts = _counts(profile, SPREAD_AGES, table.context, table.by_allocations, "blocks_out")
    return Histogram(LIFETIME_BOUNDS, counts, inclusive=True)


def is_estimate(profile: Profile) -> bool:
    """Whether histograms are: by time, sizes and lifetimes are counted by thread, and not by
    context. Of a range of time in which only some contexts are selected, each one's blocks in it
    are taken to be as its blocks are over the whole time."""
    return profile.time is not None and profile.spreads is None


def _counts(profile: Profile, buckets: slice, context: Ids, counts: Ints, moved: str) -> Ints:
    """Sums of ``counts`` (rows of contexts by classes); of a range, what its ``buckets`` have, or
    else by the part of its blocks that a context ``moved`` in it."""
    recording, time, spreads = profile.recording, profile.time, profile.spreads
    if spreads is not None:
        sums = np.zeros(SPREAD_BUCKETS, np.int64)
        np.add.at(sums, spreads.bucket, spreads.blocks)
        return sums[buckets]
    rows = _counted(profile)[context]
    if time is None:
        return np.asarray(counts[rows].sum(axis=0))
    whole = getattr(recording.totals, moved)
    within = getattr(recording.totals_between(time.first, time.stop), moved)
    part = np.divide(within, whole, out=np.zeros(len(whole)), where=whole > 0)
    weighted = (counts[rows] * part[context[rows]][:, np.newaxis]).sum(axis=0)
    rounded: Ints = np.rint(weighted).astype(np.int64)
    return rounded


def _counted(profile: Profile) -> Bools:
    recording: Recording = profile.recording
    mask = recording.contexts.counted
    if profile.processes is not None:
        mask = mask & np.isin(recording.contexts.process, profile.processes)
    return mask if profile.chosen is None else mask & profile.chosen
