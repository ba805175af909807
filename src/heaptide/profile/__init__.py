"""A recording's memory by where it came from: figures, places in code, folds.

``Profile(recording).fold("function", metric("peak"))`` is the table of sites at the peak.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from heaptide._later import later

from .figures import Peak, context_figures, live_totals
from .fold import FOLDS, Fold, groups_of
from .known import default_metric, known_metrics, metric_of, told, unknown
from .locations import Locations, locate
from .metrics import (
    BLOCKS,
    BY_ORDER,
    COLUMNS,
    EVERY_METRIC,
    LEAK_COLUMNS,
    LEAKED,
    LIVE,
    METRICS,
    Metric,
    heaviest,
    metric,
)
from .origin import Origin
from .profile import Profile
from .selection import Selection, TimeRange, size_class, size_words
from .summary import Summary, composed_at, rows_of_pid, summarize, timeline_of
from .threads import MAIN_THREADS, thread_entries, thread_name
from .tree import Tree, expand

if TYPE_CHECKING:
    from .diff import Diff, Status, compare, summary_change
    from .histograms import (
        Histogram,
        age_histogram,
        is_estimate,
        lifetime_histogram,
        size_histogram,
    )
    from .moments import Snapshot, compositions, snapshots
    from .shared import SHARED_FOLDS, Shared, shared_keys
    from .trees import RECURSION, TREE_FOLDS, StackTree, metric_figures, stack_tree

__all__ = [
    "BLOCKS",
    "BY_ORDER",
    "COLUMNS",
    "EVERY_METRIC",
    "FOLDS",
    "LEAKED",
    "LEAK_COLUMNS",
    "LIVE",
    "MAIN_THREADS",
    "METRICS",
    "RECURSION",
    "SHARED_FOLDS",
    "TREE_FOLDS",
    "Diff",
    "Fold",
    "Histogram",
    "Locations",
    "Metric",
    "Origin",
    "Peak",
    "Profile",
    "Selection",
    "Shared",
    "Snapshot",
    "StackTree",
    "Status",
    "Summary",
    "TimeRange",
    "Tree",
    "age_histogram",
    "compare",
    "composed_at",
    "compositions",
    "context_figures",
    "default_metric",
    "expand",
    "groups_of",
    "heaviest",
    "is_estimate",
    "known_metrics",
    "lifetime_histogram",
    "live_totals",
    "locate",
    "metric",
    "metric_figures",
    "metric_of",
    "rows_of_pid",
    "shared_keys",
    "size_class",
    "size_histogram",
    "size_words",
    "snapshots",
    "stack_tree",
    "summarize",
    "summary_change",
    "thread_entries",
    "thread_name",
    "timeline_of",
    "told",
    "unknown",
]

# What only some views need is imported when it is asked for.
_LATER = {
    name: module
    for module, names in {
        "diff": ("Diff", "Status", "compare", "summary_change"),
        "histograms": (
            "Histogram",
            "age_histogram",
            "is_estimate",
            "lifetime_histogram",
            "size_histogram",
        ),
        "moments": ("Snapshot", "compositions", "snapshots"),
        "shared": ("SHARED_FOLDS", "Shared", "shared_keys"),
        "trees": (
            "RECURSION",
            "TREE_FOLDS",
            "StackTree",
            "metric_figures",
            "stack_tree",
        ),
    }.items()
    for name in names
}

__getattr__ = later(__name__, _LATER)
