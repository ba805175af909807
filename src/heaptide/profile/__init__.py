"""A recording's memory by where it came from: figures, places in code, folds.

``Profile(recording).fold("function", metric("peak"))`` is the table of sites at the peak.
"""

from __future__ import annotations

from .locations import Locations, locate
from .metrics import BY_ORDER, COLUMNS, METRICS, Metric, context_figures, heaviest, metric
from .origin import Origin
from .profile import FOLDS, Fold, Profile
from .summary import Summary, rows_of_pid, summarize, timeline_of
from .threads import thread_entries
from .tree import Tree, expand

__all__ = [
    "BY_ORDER",
    "COLUMNS",
    "FOLDS",
    "METRICS",
    "Fold",
    "Locations",
    "Metric",
    "Origin",
    "Profile",
    "Summary",
    "Tree",
    "context_figures",
    "expand",
    "heaviest",
    "locate",
    "metric",
    "rows_of_pid",
    "summarize",
    "thread_entries",
    "timeline_of",
]
