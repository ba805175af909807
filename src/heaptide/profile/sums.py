"""Figures summed up by where memory is charged to, without a table of all contexts' figures.

A recording of a million contexts has 80 MB of figures; two are compared at once.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from .figures import figure_columns
from .metrics import COLUMNS, LEAK_COLUMNS, Metric

if TYPE_CHECKING:
    from .profile import Profile

Ints = npt.NDArray[np.int64]


def summed(profile: Profile, metric: Metric, by: str) -> Ints:
    """Sums of ``Profile.figures_for(metric)``: a row for each location, thread or process.

    ``by``: "thread", "process", or anything else for the locations that memory is charged to. The
    last row is for what has no thread, or process. Raises UsageError as ``figures_for``.
    """
    contexts = profile.recording.contexts
    if by == "thread":
        row, count = contexts.thread.astype(np.int64), len(profile.recording.threads)
    elif by == "process":
        row, count = contexts.process.astype(np.int64), len(profile.recording.processes)
    else:
        row, count = profile.context_site, len(profile.locations)
    width = len(COLUMNS) + len(LEAK_COLUMNS) * metric.leaks
    sums = np.zeros((count + 1, width), np.int64)
    row = np.where(row < 0, count, row)
    order = np.argsort(row, kind="stable")
    row = row[order]
    starts = np.flatnonzero(np.append(True, row[1:] != row[:-1])[: len(row)])
    for index, column in enumerate(_columns(profile, metric)):
        if len(starts):
            sums[row[starts], index] = np.add.reduceat(column[order], starts)
    return sums


def _columns(profile: Profile, metric: Metric) -> Iterable[Ints]:
    known = "figures" in vars(profile)
    plain = profile.whole and not metric.leaks and not metric.by_order
    if known or not plain:
        return profile.figures_for(metric).T
    return figure_columns(profile.recording, profile.processes)


def forget(profile: Profile) -> None:
    """Drops what ``profile`` and its recording keep for each context, until asked for it again."""
    for name in ("figures", "leaked", "context_site", "context_node", "_context_site_node"):
        vars(profile).pop(name, None)
    for name in ("totals", "peaks", "contexts"):
        vars(profile.recording).pop(name, None)
