"""The tables of the page as the columns that it reads, by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from heaptide.profile import Tree, timeline_of

from .bins import CHANGES
from .tables import FIGURES, OLD, PLACE, Histogram, Side, Tables

if TYPE_CHECKING:
    from heaptide.profile import Profile

    from .bins import Focus

Column = npt.NDArray[Any]


def columns_of(
    tables: Tables, profile: Profile, base: Profile | None, focus: Focus | None = None
) -> dict[str, Column]:
    """All columns but the texts. ``tables`` must be compact. ``focus``: where time is finer."""
    found: dict[str, Column] = {
        **{f"location.{name}": tables.places[name] for name in PLACE if _told(tables, name)},
        "node.depth": Tree(tables.parent).depth,
        "node.location": tables.place,
        "sample.node": tables.node,
        "sample.site": tables.place[tables.site],
        "sample.thread": tables.thread,
        "sample.process": tables.process,
        "sample.kind": tables.kind,
        **_side("", "sample", tables.new, tables),
        **_histogram("size", tables.sizes),
        **_histogram("life", tables.lifetimes),
        **_histogram("age", tables.ages),
        **_timeline("time", profile, focus),
    }
    if base is not None and tables.base is not None:
        found.update(_side("base.", "base", tables.base, tables))
        found.update(_timeline("base.time", base, focus))
        found.update({**_exits("", tables.new), **_exits("base.", tables.base)})
    if tables.spreads.known:
        rows = dict(vars(tables.spreads))
        found["bin.spreads"] = np.diff(rows.pop("offsets"))
        found.update({f"spread.{name}": column for name, column in rows.items()})
    return found


def _told(tables: Tables, name: str) -> bool:
    return name not in OLD or bool(tables.places[name].any())


def _side(prefix: str, figures: str, side: Side, tables: Tables) -> dict[str, Column]:
    """The columns of one recording: its figures as ``<figures>.*``, all else as ``<prefix>*``."""
    changes, births = side.changes, side.births
    return {
        **{f"{figures}.{name}": column for name, column in _figures(side, tables).items()},
        f"{prefix}bin.start": changes.start,
        f"{prefix}bin.end": changes.end,
        f"{prefix}bin.changes": np.diff(changes.offsets),
        f"{prefix}change.sample": changes.sample,
        **{f"{prefix}change.{name}": changes.columns[name] for name in CHANGES},
        **{f"{prefix}birth.{name}": column for name, column in vars(births).items()},
    }


_HELD = ("sample", "bytes", "blocks")


def _exits(prefix: str, side: Side) -> dict[str, Column]:
    rows = np.bincount(side.exits.bin, minlength=len(side.changes))
    found = {"rows": rows, **{name: getattr(side.exits, name) for name in _HELD}}
    return {f"{prefix}exit.{name}": column for name, column in found.items()}


# Figures of the whole time that are sums of changes: what is added up, and what is taken away.
_SUMS: dict[str, tuple[str, ...]] = {
    "total_bytes": ("bytes_in",),
    "allocations": ("blocks_in", "reallocations"),
    "reallocations": ("reallocations",),
    "copied_bytes": ("copied_bytes",),
    "temporary_allocations": ("temporary",),
    "short_lived_allocations": ("short_lived",),
    "alive_at_exit_bytes": ("bytes_in", "bytes_out"),
    "alive_at_exit_allocations": ("blocks_in", "blocks_out"),
}


def _figures(side: Side, tables: Tables) -> dict[str, Column]:
    """The figures of samples, without those that the page can add up from changes itself."""
    found: dict[str, Column] = {}
    for index, name in enumerate((*FIGURES, *tables.extras)):
        column = side.figures[:, index]
        if name not in _SUMS or not np.array_equal(
            column, _summed(side, tables.samples, *_SUMS[name])
        ):
            found[name] = column
    return found


def _summed(side: Side, samples: int, plus: str, minus: str | None = None) -> Column:
    changes = side.changes
    sums = np.zeros(samples, np.int64)
    np.add.at(sums, changes.sample, changes.columns[plus].astype(np.int64))
    if minus is not None:
        np.subtract.at(sums, changes.sample, changes.columns[minus].astype(np.int64))
    return sums


def _histogram(name: str, histogram: Histogram) -> dict[str, Column]:
    return {f"{name}.{part}": column for part, column in vars(histogram).items()}


_MOST_POINTS = 2000


def _step(rows: int) -> int:
    return max(-(-rows // _MOST_POINTS), 1)


def _timeline(name: str, profile: Profile, focus: Focus | None) -> dict[str, Column]:
    """At most some thousand rows, and as many where the ``focus`` is; of those that fall together
    the last, with the highest peak."""
    timeline = timeline_of(profile)
    rows = len(timeline)
    starts = np.arange(0, rows, _step(rows))
    if focus is not None:
        first, stop = np.searchsorted(timeline.time, (focus.start, focus.end)).tolist()
        starts = np.union1d(starts, np.arange(first, stop, _step(stop - first)))
    last = np.append(starts, rows)[1:] - 1
    peak = np.maximum(timeline.peak_bytes, timeline.live_bytes)
    highest = {"peak": peak, "rss": timeline.rss, "pss": timeline.pss}
    found: dict[str, Column] = {
        f"{name}.time": timeline.time[last],
        f"{name}.live": timeline.live_bytes[last],
    }
    for column, values in highest.items():
        found[f"{name}.{column}"] = np.maximum.reduceat(values, starts) if rows else values
    return found
