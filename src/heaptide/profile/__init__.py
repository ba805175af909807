"""A recording's memory by where it came from: figures, places in code, folds.

``Profile(recording).fold("function", metric("peak"))`` is the table of sites at the peak.
"""

from __future__ import annotations

from .figures import Peak, context_figures, live_totals
from .fold import FOLDS, Fold, groups_of
from .locations import Locations, locate
from .metrics import (
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
from .stack_tree import RECURSION, TREE_FOLDS, StackTree, metric_figures, stack_tree
from .summary import Summary, rows_of_pid, summarize, timeline_of
from .threads import MAIN_THREADS, thread_entries, thread_name
from .tree import Tree, expand

__all__ = [
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
    "TREE_FOLDS",
    "Fold",
    "Locations",
    "Metric",
    "Origin",
    "Peak",
    "Profile",
    "Selection",
    "StackTree",
    "Summary",
    "TimeRange",
    "Tree",
    "context_figures",
    "expand",
    "groups_of",
    "heaviest",
    "live_totals",
    "locate",
    "metric",
    "metric_figures",
    "rows_of_pid",
    "size_class",
    "size_words",
    "stack_tree",
    "summarize",
    "thread_entries",
    "thread_name",
    "timeline_of",
]
