"""Tables, trees, histograms and the timeline as CSV (RFC 4180), for spreadsheets and programs.

Names of columns, and their order, stay as docs/cli.md has them; new ones come at the end.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from heaptide.profile import COLUMNS, LEAK_COLUMNS

from .document import sites
from .rows import histogram_rows, moments, tree_nodes

if TYPE_CHECKING:
    from heaptide.profile import Fold, Metric, Profile, StackTree

    from .treeoptions import TreeOptions

_PLACE = ("function", "file", "line", "language", "module", "origin")
SITE_COLUMNS = (
    *_PLACE,
    "pid",
    "tid",
    "thread",
    "image",
    "command",
    "share",
    "inclusive",
    "imports",
    *COLUMNS,
    *LEAK_COLUMNS,
    "value",
)
TREE_COLUMNS = ("node", "parent", "depth", *_PLACE, "share", "itself", "inclusive", "beside")
TIMELINE_COLUMNS = (
    "time_seconds",
    "live_bytes",
    "live_blocks",
    "peak_bytes",
    "rss_bytes",
    "pss_bytes",
    "uss_bytes",
    "overhead_bytes",
    "stack_bytes",
)
HISTOGRAM_COLUMNS = ("histogram", "above", "up_to", "count")


def table(profile: Profile, fold: Fold, *, top: int = 0) -> str:
    """The groups of ``fold``, largest first; ``top``: how many, 0: all."""
    rows = []
    for site in sites(profile, fold, top=top):
        thread, process = site["thread"] or {}, site["process"] or {}
        site["pid"] = process.get("pid", thread.get("pid"))
        site["tid"], site["thread"] = thread.get("tid"), thread.get("name")
        site["image"] = process.get("image")
        site["command"] = " ".join(process["command"]) if process else None
        rows.append(site)
    return _written(SITE_COLUMNS, rows)


def tree(
    profile: Profile, found: StackTree, metric: Metric, options: TreeOptions, *, top: int = 0
) -> str:
    """The nodes of a tree, a parent before its children; ``top``: how many of the largest."""
    nodes = tree_nodes(profile, found, metric, options, top=top)
    rows = [
        {
            **node,
            "itself": node["own"][metric.column],
            "inclusive": node["inclusive"][metric.column],
            "beside": node["inclusive"][metric.beside],
        }
        for node in nodes
    ]
    return _written(TREE_COLUMNS, rows)


def timeline(profile: Profile) -> str:
    """The live heap and the resident memory over time."""
    return _written(TIMELINE_COLUMNS, moments(profile))


def histograms(profile: Profile, which: Sequence[str]) -> str:
    """Counts by class. Bounds are bytes, seconds or allocations; empty: there is none."""
    return _written(HISTOGRAM_COLUMNS, histogram_rows(profile, which))


def _written(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> str:
    out = io.StringIO()
    writer = csv.writer(out)  # RFC 4180: lines end in CR LF, quotes are doubled
    writer.writerow(columns)
    for row in rows:
        writer.writerow([_cell(row.get(name)) for name in columns])
    return out.getvalue()


def _cell(value: object) -> object:
    """Names are data: none may move the cursor of a terminal that the output goes to."""
    if not isinstance(value, str) or value.isprintable():
        return value
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in value)
