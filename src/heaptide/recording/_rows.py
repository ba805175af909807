"""Row-wise columns of one kind, with conversions to the types that tables promise."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from heaptide.recording._schema import NUMBERED, WIRE_ALL_PROCESSES, Kind
from heaptide.recording._tables import Figures, Ids

Array = NDArray[Any]


class Rows:
    """The columns of one kind, over all of its chunks. A missing column reads as zeros."""

    def __init__(self, count: int, columns: dict[str, Array]) -> None:
        self.count = count
        self.columns = columns

    def __contains__(self, name: str) -> bool:
        return name in self.columns

    def figures(self, name: str) -> Figures:
        column = self.columns.get(name)
        if column is None:
            return np.zeros(self.count, np.int64)
        return column.astype(np.int64)

    def unsigned(self, name: str) -> NDArray[np.uint64]:
        column = self.columns.get(name)
        return np.zeros(self.count, np.uint64) if column is None else column.astype(np.uint64)

    def small(self, name: str) -> NDArray[np.uint8]:
        """Of an enumeration: numbers above 255 read as 255."""
        return np.clip(self.figures(name), 0, 255).astype(np.uint8)

    def ids(self, name: str, limit: int, *, blank: int = -1, base: int = 0) -> Ids:
        """References less `base`; those outside of 0..limit-1 become `blank`."""
        rows = self.figures(name) - base
        rows[(rows < 0) | (rows >= limit)] = blank
        return rows.astype(np.int32)

    def keep(self, mask: NDArray[np.bool_]) -> Rows:
        return Rows(int(mask.sum()), {name: c[mask] for name, c in self.columns.items()})


def join(parts: list[Rows]) -> Rows:
    """Concatenates parts; a column that one lacks is zeros there."""
    if len(parts) == 1:
        return parts[0]
    names = dict.fromkeys(name for part in parts for name in part.columns)
    columns = {
        name: _concatenate([p.columns.get(name, np.zeros(p.count, np.uint8)) for p in parts])
        for name in names
    }
    return Rows(sum(part.count for part in parts), columns)


def without_final(kind: Kind, rows: Rows, final: list[Rows]) -> Rows:
    """The rows of a state that are in no final chunk of `kind` as well."""
    if kind in NUMBERED:
        name, mine = "row", np.ones(rows.count, bool)
    elif kind in (Kind.PEAK, Kind.LIFETIMES, Kind.SIZES):
        name, mine = "context", rows.figures("process") != WIRE_ALL_PROCESSES
    else:
        return rows
    known = np.concatenate([part.figures(name) for part in final])
    return rows.keep(~(mine & np.isin(rows.figures(name), known)))


def _concatenate(arrays: list[Array]) -> Array:
    # NumPy's common type of u64 and a signed one is a float, which would lose digits.
    if len({array.dtype.kind for array in arrays}) > 1:
        arrays = [array.astype(np.int64) for array in arrays]
    return np.concatenate(arrays)
