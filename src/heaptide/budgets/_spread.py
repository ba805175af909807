"""Readings of one figure: their median and spread, and whether one set differs from another."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

RELATIVE = 0.05
MADS = 3.0


@dataclass(frozen=True)
class Spread:
    """Readings in short, in their own unit. ``mad``: the median absolute deviation, unscaled."""

    count: int
    median: float
    mad: float
    minimum: float
    maximum: float


def spread(values: Sequence[float]) -> Spread:
    """Raises ValueError: no values."""
    if not values:
        raise ValueError("no readings")
    middle = median(values)
    deviation = median(abs(value - middle) for value in values)
    return Spread(len(values), middle, deviation, min(values), max(values))


@dataclass(frozen=True)
class Change:
    """Readings of two versions. ``difference``: the median of new minus base, by pairs where they
    were taken in turn; ``difference_mad``: how far the differences stray from it."""

    base: Spread
    new: Spread
    difference: float
    difference_mad: float

    @property
    def relative(self) -> float | None:
        """The difference as a part of the base; None: the base is 0."""
        return self.difference / self.base.median if self.base.median else None

    @property
    def combined_mad(self) -> float:
        """The spread of a difference between readings that stray as these do."""
        return math.hypot(self.base.mad, self.new.mad)

    def grew(self, relative: float = RELATIVE, mads: float = MADS) -> bool:
        """Whether the new readings are higher beyond both ``relative``, a part of the base, and
        ``mads`` combined deviations."""
        return self._beyond(self.difference, relative, mads)

    def shrank(self, relative: float = RELATIVE, mads: float = MADS) -> bool:
        """Whether they are lower by as much."""
        return self._beyond(-self.difference, relative, mads)

    def _beyond(self, difference: float, relative: float, mads: float) -> bool:
        return difference > relative * self.base.median and difference > mads * self.combined_mad


def change(base: Sequence[float], new: Sequence[float]) -> Change:
    """Of readings taken in turn, as many of each. Raises ValueError: none, or not as many."""
    if len(base) != len(new):
        raise ValueError(f"{len(base)} readings of the base, {len(new)} of the new version")
    differences = spread([after - before for before, after in zip(base, new)])
    return Change(spread(base), spread(new), differences.median, differences.mad)


def unpaired(base: Sequence[float], new: Sequence[float]) -> Change:
    """Of readings that were not taken in turn: the difference of their medians. Raises ValueError:
    none."""
    before, after = spread(base), spread(new)
    return Change(before, after, after.median - before.median, math.hypot(before.mad, after.mad))
