"""The tables of the page as the columns that it reads, by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from heaptide.profile import Tree, timeline_of

from .bins import CHANGES
from .tables import FIGURES, PLACE, Histogram, Tables

if TYPE_CHECKING:
    from heaptide.profile import Profile

Column = npt.NDArray[Any]


def columns_of(tables: Tables, profile: Profile, base: Profile | None) -> dict[str, Column]:
    """All columns but the texts. ``tables`` must be compact."""
    changes = tables.changes
    found: dict[str, Column] = {
        **{f"location.{name}": tables.places[name] for name in PLACE},
        "node.depth": Tree(tables.parent).depth,
        "node.location": tables.place,
        "sample.node": tables.node,
        "sample.site": tables.place[tables.site],
        "sample.thread": tables.thread,
        "sample.process": tables.process,
        "sample.kind": tables.kind,
        **_figures(tables),
        "bin.start": changes.start,
        "bin.end": changes.end,
        "bin.changes": np.diff(changes.offsets),
        "change.sample": changes.sample,
        **{f"change.{name}": changes.columns[name] for name in CHANGES},
        **{f"birth.{name}": column for name, column in vars(tables.births).items()},
        **_histogram("size", tables.sizes),
        **_histogram("life", tables.lifetimes),
        **_histogram("age", tables.ages),
        **_timeline("time", profile),
    }
    if base is not None and tables.base is not None:
        found.update({f"base.{name}": tables.base[:, i] for i, name in enumerate(FIGURES)})
        found.update(_timeline("base.time", base))
    if tables.spreads.known:
        rows = dict(vars(tables.spreads))
        found["bin.spreads"] = np.diff(rows.pop("offsets"))
        found.update({f"spread.{name}": column for name, column in rows.items()})
    for prefix, lives in zip(("", "base."), tables.lives or ()):
        found[f"{prefix}lives.start"] = lives.start
        found[f"{prefix}lives.end"] = lives.end
        found[f"{prefix}lives.rows"] = np.bincount(lives.span, minlength=len(lives))
        found[f"{prefix}lives.sample"] = lives.sample
        found[f"{prefix}lives.bytes"] = lives.bytes
    return found


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


def _figures(tables: Tables) -> dict[str, Column]:
    """The figures of samples, without those that the page can add up from changes itself."""
    found: dict[str, Column] = {}
    for index, name in enumerate(FIGURES):
        column = tables.figures[:, index]
        if name not in _SUMS or not np.array_equal(column, _summed(tables, *_SUMS[name])):
            found[f"sample.{name}"] = column
    return found


def _summed(tables: Tables, plus: str, minus: str | None = None) -> Column:
    changes = tables.changes
    sums = np.zeros(tables.samples, np.int64)
    np.add.at(sums, changes.sample, changes.columns[plus].astype(np.int64))
    if minus is not None:
        np.subtract.at(sums, changes.sample, changes.columns[minus].astype(np.int64))
    return sums


def _histogram(name: str, histogram: Histogram) -> dict[str, Column]:
    return {f"{name}.{part}": column for part, column in vars(histogram).items()}


_MOST_POINTS = 2000


def _timeline(name: str, profile: Profile) -> dict[str, Column]:
    """At most some thousand rows; of those that fall together the last, with the highest peak."""
    timeline = timeline_of(profile)
    rows = len(timeline)
    step = max(-(-rows // _MOST_POINTS), 1)
    starts = np.arange(0, rows, step)
    last = np.minimum(starts + step, rows) - 1
    highest = {"peak_bytes": timeline.peak_bytes, "rss": timeline.rss, "pss": timeline.pss}
    found: dict[str, Column] = {
        f"{name}.time": timeline.time[last],
        f"{name}.live": timeline.live_bytes[last],
    }
    for column, values in highest.items():
        part = column.partition("_")[0]
        found[f"{name}.{part}"] = np.maximum.reduceat(values, starts) if rows else values
    return found
