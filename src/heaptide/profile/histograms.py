"""How large blocks were and how long they lived, counted by classes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from heaptide.recording import LIFETIME_BOUNDS, LIFETIME_TIME_BOUNDS_NS, SIZE_BOUNDS

if TYPE_CHECKING:
    from heaptide.recording import Recording

    from .profile import Profile

Ints = npt.NDArray[np.int64]
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

    Of what the profile selects, but of the whole time: sizes are not known by time.
    """
    table = profile.recording.sizes
    counts = table.counts[_counted(profile)[table.context]].sum(axis=0)
    return Histogram(SIZE_BOUNDS, counts, inclusive=True)


def lifetime_histogram(profile: Profile) -> Histogram:
    """Freed blocks by how long they lived, in nanoseconds. Of the whole time, likewise."""
    table = profile.recording.lifetimes
    counts = table.by_time[_counted(profile)[table.context]].sum(axis=0)
    return Histogram(LIFETIME_TIME_BOUNDS_NS, counts, inclusive=False)


def age_histogram(profile: Profile) -> Histogram | None:
    """Freed blocks by how many allocations their thread made meanwhile; None: samples do not tell.

    Of the whole time, likewise.
    """
    if profile.recording.sample_interval:
        return None
    table = profile.recording.lifetimes
    counts = table.by_allocations[_counted(profile)[table.context]].sum(axis=0)
    return Histogram(LIFETIME_BOUNDS, counts, inclusive=True)


def _counted(profile: Profile) -> Bools:
    recording: Recording = profile.recording
    mask = recording.contexts.counted
    if profile.processes is not None:
        mask = mask & np.isin(recording.contexts.process, profile.processes)
    return mask if profile.chosen is None else mask & profile.chosen
