"""Rows that JSON and CSV have in common: places in code, nodes of trees, histograms, snapshots."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from heaptide.profile import (
    Origin,
    age_histogram,
    lifetime_histogram,
    size_histogram,
    timeline_of,
)
from heaptide.recording import Language

if TYPE_CHECKING:
    from heaptide.profile import Histogram, Metric, Profile, Snapshot, StackTree

    from .treeoptions import TreeOptions

LANGUAGES = {
    Language.UNKNOWN: None,
    Language.PYTHON: "python",
    Language.C: "c",
    Language.CPP: "c++",
    Language.RUST: "rust",
    Language.OTHER: "other",
}
# What of its location a group is told by; the rest differs within the group.
TELLS = {
    "function": ("function", "file", "line", "module"),
    "line": ("function", "file", "line", "module"),
    "file": ("file", "module"),
    "module": ("module",),
    "thread": (),
    "process": (),
}
HISTOGRAMS = ("sizes", "lifetimes")
MOST_MOMENTS = 2000
"""Rows of a timeline in JSON, at most; CSV has all."""


def place_of(profile: Profile, by: str, at: int) -> dict[str, Any]:
    """What tells a group, folded by ``by``, from the location that stands for it."""
    locations = profile.locations
    place = {
        "function": locations.texts[locations.function[at]] or None,
        "file": locations.texts[locations.file[at]] or None,
        "line": int(locations.line[at]) or None,
        "module": profile.module_of(at) or None,
    }
    return {
        **{name: place[name] if name in TELLS[by] else None for name in place},
        "language": LANGUAGES.get(locations.language[at], "other"),
        "origin": Origin(locations.origin[at]).name.lower(),
    }


def tree_nodes(
    profile: Profile, tree: StackTree, metric: Metric, options: TreeOptions, *, top: int = 0
) -> list[dict[str, Any]]:
    """Nodes of ``tree`` (figures: the metric and what is beside it), parents first.

    ``top``: only so many of the largest, which always have their parents with them; 0: all. The
    root is the first, in no place.
    """
    rows = np.arange(len(tree))
    if 0 < top < len(tree):
        largest = np.lexsort((rows, -tree.inclusive[:, 0]))
        rows = np.sort(largest[: top + 1])  # the root is none of them
    number = np.full(len(tree) + 1, -1, np.int64)
    number[rows] = np.arange(len(rows))
    whole = int(tree.inclusive[0, 0])
    names = (metric.column, metric.beside)
    nowhere = dict.fromkeys(("function", "file", "line", "module", "language", "origin"))
    found = []
    for row in rows.tolist():
        at = int(tree.location[row])
        place: dict[str, Any] = nowhere
        if at >= 0:
            by = options.by_of(profile, at)
            place = place_of(profile, by, at)
            if by == "function":
                place["function"] = options.function_of(profile, at) or None
        parent = int(number[tree.parent[row]]) if row else None
        found.append(
            {
                "node": int(number[row]),
                "parent": parent,
                "depth": int(tree.depth[row]),
                **place,
                "share": int(tree.inclusive[row, 0]) / whole if whole else 0.0,
                "own": dict(zip(names, tree.own[row].tolist())),
                "inclusive": dict(zip(names, tree.inclusive[row].tolist())),
            }
        )
    return found


def histogram_rows(profile: Profile, which: Sequence[str] = HISTOGRAMS) -> list[dict[str, Any]]:
    """A row for each class of each histogram: above one bound and up to another.

    Lifetimes in seconds are from the lower bound on and below the upper one.
    """
    found: list[dict[str, Any]] = []
    if "sizes" in which:
        found += _classes("sizes", size_histogram(profile), 1)
    if "lifetimes" in which:
        found += _classes("lifetimes", lifetime_histogram(profile), 10**9)
        ages = age_histogram(profile)
        if ages is not None:
            found += _classes("lifetimes in allocations", ages, 1)
    return found


def _classes(name: str, histogram: Histogram, divisor: int) -> list[dict[str, Any]]:
    bounds: list[float | None] = [
        bound if divisor == 1 else bound / divisor for bound in histogram.bounds
    ]
    return [
        {"histogram": name, "above": low, "up_to": high, "count": count}
        for low, high, count in zip([None, *bounds], [*bounds, None], histogram.counts.tolist())
    ]


def snapshot_rows(profile: Profile, found: list[Snapshot]) -> list[dict[str, Any]]:
    """Snapshots by time."""
    return [
        {
            "time_seconds": snapshot.time_ns / 1e9,
            "live_bytes": snapshot.live_bytes,
            "rss_bytes": snapshot.rss_bytes,
            "peak": snapshot.peak,
            "sites": None
            if snapshot.sites is None
            else [{**place_of(profile, "function", at), "bytes": n} for at, n in snapshot.sites],
        }
        for snapshot in found
    ]


def moments(profile: Profile, most: int | None = None) -> list[dict[str, Any]]:
    """Rows of the timeline; of more than ``most`` the highest of each of so many equal parts."""
    found = timeline_of(profile)
    rows = np.arange(len(found))
    if most is not None and len(rows) > most:
        part = rows * most // len(rows)
        order = np.lexsort((np.maximum(found.peak_bytes, found.live_bytes), part))
        rows = np.sort(order[np.append(np.diff(part[order]) != 0, True)])
    columns = {
        "time_seconds": [time / 1e9 for time in found.time[rows].tolist()],
        "live_bytes": found.live_bytes[rows].tolist(),
        "live_blocks": found.live_blocks[rows].tolist(),
        "peak_bytes": found.peak_bytes[rows].tolist(),
        **{
            f"{name}_bytes": [size or None for size in getattr(found, name)[rows].tolist()]
            for name in ("rss", "pss", "uss")
        },
        # Of imported recordings of formats that know it.
        "overhead_bytes": [size or None for size in found.overhead_bytes[rows].tolist()],
        "stack_bytes": [size or None for size in found.stack_bytes[rows].tolist()],
    }
    return [dict(zip(columns, row)) for row in zip(*columns.values())]
