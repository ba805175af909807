"""When what lives was born: the recorder's counts of live blocks, as a table of births and deaths.

A count (`census`) tells, for one moment, how many blocks of each context live, and between which
earlier counts they were born. The table has what follows from all of them; its rows add up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from heaptide.recording import _columns
from heaptide.recording._tables import Births, Figures

if TYPE_CHECKING:
    from heaptide.recording._chunks import Chunk
    from heaptide.recording._load import Loader


class Count(NamedTuple):
    """What lives at `time`. `cell`: births before bounds[cell], and not before the one below."""

    time: int
    bounds: Figures
    context: Figures
    cell: Figures
    blocks: Figures
    bytes: Figures


def load(loader: Loader, chunks: list[Chunk]) -> Births:
    """The table from the counts in `chunks`, of kind `census`. Memory is that of two counts."""
    counts = [(chunk, _count_of(loader, chunk)) for chunk in chunks]
    states = sorted((c for chunk, c in counts if not chunk.final), key=lambda count: count.time)
    left = [count for chunk, count in counts if chunk.final]
    return join(states, left)


def _count_of(loader: Loader, chunk: Chunk) -> Count:
    columns = loader.columns(chunk)
    heads = [np.asarray(columns.pop(name, ()), np.int64) for name in ("time", "bound")]
    rows = loader.of_contexts(loader.checked(chunk, columns), "census")
    time = int(heads[0][0]) if len(heads[0]) else 0
    bounds = heads[1]
    if len(bounds) and (np.any(bounds[1:] < bounds[:-1]) or bounds[-1] > time or bounds[0] < 0):
        raise loader.malformed(chunk, "its times are not in order")
    cell = np.clip(rows.figures("cell"), 0, len(bounds))
    return Count(
        time, bounds, rows.figures("context"), cell, rows.figures("blocks"), rows.figures("bytes")
    )


def join(states: list[Count], left: list[Count]) -> Births:
    """`states`: counts of all that lived, in order of time; `left`: what processes left that ended
    at that time, alive for good."""
    if not states:
        return Births.empty()
    # The recorder forgets bounds as time goes on; those of the last count were known at all times.
    known = states[-1].bounds
    states = [count for count in states[:-1] if count.time in known] + states[-1:]
    times = np.array([count.time for count in states], np.int64)
    parts: list[tuple[Figures, ...]] = []
    later = _Alive.none()
    for number in range(len(states) - 1, -1, -1):
        found = [states[number]]
        found += [count for count in left if count.time <= states[number].time]
        # What is put right late (a free that came before its block) must not make blocks return.
        alive = _Alive.of(found, times, number).at_least(later.born_until(number))
        died = alive.less(later.born_until(number))
        context, cell = died.key // _CELLS, died.key % _CELLS
        gone = np.full(len(context), number + 1, np.int64)
        parts.append((context, cell, gone, died.blocks, died.bytes))
        later = alive
    columns = [np.concatenate(column) for column in zip(*parts)]
    return Births(times, *columns)


_CELLS = 1 << 16  # more than there are counts


class _Alive(NamedTuple):
    """Sums by context and cell of birth (of the final times); keys ascend."""

    key: Figures
    blocks: Figures
    bytes: Figures

    @classmethod
    def none(cls) -> _Alive:
        nothing = np.zeros(0, np.int64)
        return cls(nothing, nothing, nothing)

    @classmethod
    def of(cls, counts: list[Count], times: Figures, number: int) -> _Alive:
        """Of the moment times[number]: cell j has the births in times[j - 1] to times[j]."""
        keys = []
        for count in counts:
            begins = np.append(-1, count.bounds)[count.cell]
            cell = np.minimum(np.searchsorted(times, begins, side="right"), number)
            keys.append(count.context * _CELLS + cell)
        key, place = np.unique(np.concatenate(keys), return_inverse=True)
        sums = np.zeros((2, len(key)), np.int64)
        np.add.at(sums[0], place, np.concatenate([count.blocks for count in counts]))
        np.add.at(sums[1], place, np.concatenate([count.bytes for count in counts]))
        return cls(key, sums[0], sums[1])

    def born_until(self, number: int) -> _Alive:
        return self._keep(self.key % _CELLS <= number)

    def at_least(self, other: _Alive) -> _Alive:
        key, mine, theirs = self._beside(other)
        return _Alive(key, *np.maximum(mine, theirs))

    def less(self, other: _Alive) -> _Alive:
        key, mine, theirs = self._beside(other)
        died = mine - theirs
        return _Alive(key, died[0], died[1])._keep((died[0] != 0) | (died[1] != 0))

    def _keep(self, mask: NDArray[np.bool_]) -> _Alive:
        return _Alive(self.key[mask], self.blocks[mask], self.bytes[mask])

    def _beside(self, other: _Alive) -> tuple[Figures, Figures, Figures]:
        """The keys of both, and the figures of each for them: (2, keys)."""
        key = np.union1d(self.key, other.key)
        found = []
        for one in (self, other):
            figures = np.zeros((2, len(key)), np.int64)
            figures[:, np.searchsorted(key, one.key)] = one.blocks, one.bytes
            found.append(figures)
        return key, found[0], found[1]


def read(loader: Loader, chunk: Chunk) -> Births:
    """The table as the finishing pass has written it."""
    columns = loader.columns(chunk)
    times = np.asarray(columns.pop("time", ()), np.int64)
    if np.any(times[1:] < times[:-1]):
        raise loader.malformed(chunk, "its times are not in order")
    rows = loader.of_contexts(loader.checked(chunk, columns), "births")
    born, died = rows.figures("born"), rows.figures("died")
    if len(born) and not (born.min() >= 0 and np.all(born < died) and died.max() <= len(times)):
        raise loader.malformed(chunk, "its births and deaths are out of range")
    return Births(
        times, rows.figures("context"), born, died, rows.figures("blocks"), rows.figures("bytes")
    )


def write(births: Births) -> dict[str, _columns.Column]:
    """The columns of a chunk of kind `births`: rows by context, as they compress best."""
    order = np.lexsort((births.died, births.born, births.context))
    names = ("context", "born", "died", "blocks", "bytes")
    return {"time": births.times, **{name: getattr(births, name)[order] for name in names}}


def coarser(births: Births, most: int) -> Births:
    """`births` with every second time left out, until it has at most `most` rows (or two times)."""
    while len(births) > most and len(births.times) > 2:
        births = _halved(births)
    return births


def every_second(times: Figures, born: Figures, died: Figures) -> tuple[Figures, Figures, Figures]:
    """Times, births and deaths as `Births` has them, with every second time left out, the last one
    kept. Where then `born == died`, the blocks are alive at none of the times that are left."""
    count = len(times)
    kept = np.arange((count + 1) % 2, count, 2)
    gone = np.where(died == count, len(kept), np.searchsorted(kept, died))
    return times[kept], np.searchsorted(kept, born), gone


def _halved(births: Births) -> Births:
    times, born, died = every_second(births.times, births.born, births.died)
    cells = len(times) + 1
    key, place = np.unique((births.context * cells + born) * cells + died, return_inverse=True)
    sums = np.zeros((2, len(key)), np.int64)
    np.add.at(sums[0], place, births.blocks)
    np.add.at(sums[1], place, births.bytes)
    context, born, died = key // cells // cells, key // cells % cells, key % cells
    lived = born < died
    return Births(times, context[lived], born[lived], died[lived], sums[0][lived], sums[1][lived])
