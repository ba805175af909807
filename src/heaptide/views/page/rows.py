"""Rows of columns: narrow types, and rows with equal keys made one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Column = npt.NDArray[Any]

_TYPES = (np.int8, np.int16, np.int32)


def narrow(values: Column) -> Column:
    """``values`` in the narrowest signed type that holds them: signed ones mix without harm."""
    least, most = int(values.min(initial=0)), int(values.max(initial=0))
    for kind in _TYPES:
        if np.iinfo(kind).min <= least and most <= np.iinfo(kind).max:
            return values.astype(kind)
    return values.astype(np.int64)


@dataclass(frozen=True)
class Groups:
    """Rows with equal keys: group i has ``order[starts[i]:starts[i + 1]]``; groups ascend."""

    order: Ints
    starts: Ints

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def first(self) -> Ints:
        """A row of each group."""
        return self.order[self.starts]

    @property
    def number(self) -> Ints:
        """The group of each row."""
        found = np.empty(len(self.order), np.int64)
        sizes = np.diff(self.starts, append=len(self.order))
        found[self.order] = np.repeat(np.arange(len(self.starts)), sizes)
        return found

    def sum(self, figures: Column) -> Ints:
        """The sum of each group; of a matrix by columns."""
        if not len(self.order):
            return np.zeros((0, *figures.shape[1:]), np.int64)
        ordered = figures[self.order].astype(np.int64, copy=False)
        if len(self.starts) == len(self.order):
            return ordered
        return np.asarray(np.add.reduceat(ordered, self.starts, axis=0))


def grouped(keys: Sequence[Column]) -> Groups:
    """Groups by ``keys`` (none negative), the first of which counts most."""
    count = len(keys[0])
    if not count:
        nothing = np.zeros(0, np.int64)
        return Groups(nothing, nothing)
    widths = [int(key.max()) + 1 for key in keys]
    if math.prod(widths) < 1 << 62:
        joined = keys[0].astype(np.int64)
        for key, width in zip(keys[1:], widths[1:]):
            joined = joined * width + key
        order = np.argsort(joined, kind="stable")
        ordered = joined[order]
        fresh = ordered[1:] != ordered[:-1]
    else:
        order = np.lexsort(tuple(keys)[::-1])
        fresh = np.zeros(count - 1, np.bool_)
        for key in keys:
            ordered = key[order]
            fresh |= ordered[1:] != ordered[:-1]
    return Groups(order, np.flatnonzero(np.append(True, fresh)))
