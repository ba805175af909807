"""What has changed from one recording to another, matched by names, see ``shared``."""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import IntEnum
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from heaptide.errors import UsageError

from .actors import shared_processes, shared_threads
from .shared import Shared
from .summary import Summary, summarize

if TYPE_CHECKING:
    from .fold import Fold
    from .metrics import Metric
    from .profile import Profile

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

ADDITIVE = ("total", "allocations", "temporary", "short-lived", "copied", "leaked")
"""Metrics that add up over a run, so that a longer one has more of them."""

SCALES = ("time", "allocations")
"""What figures of runs of different length can be divided by."""

_EQUAL = 1e-9  # part of a scaled figure that is a rounding error


class Status(IntEnum):
    """How a group's metric changed."""

    GREW = 0
    SHRANK = 1
    NEW = 2  # the older recording has no memory of it, by any metric
    GONE = 3  # the newer one has none
    SAME = 4


@dataclass(frozen=True)
class Diff:
    """A row for each group that either recording has; those that grew most come first.

    ``old`` and ``new``: figures shaped (rows, k), the columns of ``Profile.figures_for(metric)``,
    zeros where a recording lacks the group. ``places``: for the old and the new recording the row
    of its locations (``by`` function, line, file or module), threads or processes that stands for
    the group, its heaviest; -1: not known. ``members``: of how many groups of the recording's own
    fold it is made, 0 where it lacks the group. ``grouped``: all code without symbols of an object.
    ``lengths``: what figures are divided by where they are compared by ``scale``, see ``compare``.
    """

    by: str
    metric: Metric
    old: Ints
    new: Ints
    places: tuple[Ints, Ints]
    members: tuple[Ints, Ints]
    grouped: Bools
    scale: str | None = None
    lengths: tuple[float, float] | None = None

    def __len__(self) -> int:
        return len(self.old)

    @property
    def change(self) -> Ints:
        """The metric's signed difference of each row."""
        return self.metric.of(self.new) - self.metric.of(self.old)

    @property
    def in_new(self) -> Bools:
        """Whether ``place`` is one of the newer recording."""
        return np.asarray(self.members[1] > 0)

    @property
    def place(self) -> Ints:
        """The row that stands for the group, in the newer recording if that has it."""
        return np.where(self.in_new, self.places[1], self.places[0])

    @property
    def values(self) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        """The metric of both as it is compared: whole numbers, unless there is a ``scale``."""
        return _scaled(self.metric, self.old, self.new, self.lengths)

    @property
    def step(self) -> npt.NDArray[Any]:
        """The change that rows are ordered by: ``change``, or what there is of it by scale."""
        return _step(*self.values)

    @property
    def status(self) -> npt.NDArray[np.uint8]:
        """A Status for each row."""
        step = np.sign(self.step)
        found = np.full(len(self), Status.SAME, np.uint8)
        found[step > 0] = Status.GREW
        found[step < 0] = Status.SHRANK
        found[(step != 0) & (self.members[0] == 0)] = Status.NEW
        found[(step != 0) & (self.members[1] == 0)] = Status.GONE
        return found


def compare(
    old: Profile,
    new: Profile,
    by: str,
    metric: Metric,
    *,
    scale: str | None = None,
    shared: Shared | None = None,
) -> Diff:
    """Compares the folds of two profiles. ``by`` as ``Profile.fold`` takes it.

    Differences of all rows sum up to the difference of the totals, in every column. ``scale``:
    compare per second of the run ("time"), or per allocation ("allocations"), for metrics that add
    up over a run. ``shared``: what is known of both already. Raises UsageError as ``fold``, and for
    a scale that makes no sense.
    """
    profiles = (old, new)
    lengths = None if scale is None else _lengths(profiles, metric, scale)
    folds = (old.fold(by, metric), new.fold(by, metric))
    keys, grouped = _keys(Shared(*profiles) if shared is None else shared, folds, by)
    distinct, inverse = np.unique(np.concatenate(keys), return_inverse=True)
    rows = np.split(inverse.reshape(-1), [len(folds[0])])
    count = len(distinct)
    figures, places, members = [], [], []
    for row, fold in zip(rows, folds):
        sums = np.zeros((count, fold.figures.shape[1]), np.int64)
        np.add.at(sums, row, fold.figures)
        place = np.full(count, -1, np.int64)
        # Folds are largest first: the largest of those that fall together stands for them.
        place[row[::-1]] = (fold.entity if by in ("thread", "process") else fold.location)[::-1]
        figures.append(sums)
        places.append(place)
        members.append(np.bincount(row, minlength=count).astype(np.int64))
    alone = np.zeros(count, np.bool_)
    alone[inverse.reshape(-1)] = np.concatenate(grouped)
    values = _scaled(metric, figures[0], figures[1], lengths)
    # Ties by what does not depend on how rows are numbered: the larger, then the earlier place.
    order = np.lexsort((places[0], places[1], -values[1], -_step(*values)))
    return Diff(
        by,
        metric,
        figures[0][order],
        figures[1][order],
        (places[0][order], places[1][order]),
        (members[0][order], members[1][order]),
        alone[order],
        scale,
        lengths,
    )


def _step(old: npt.NDArray[Any], new: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The change; of scaled figures nothing where it is a rounding error."""
    change = new - old
    if change.dtype.kind == "f":
        change[np.abs(change) <= _EQUAL * np.maximum(old, new)] = 0.0
    return np.asarray(change)


def _scaled(
    metric: Metric, old: Ints, new: Ints, lengths: tuple[float, float] | None
) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    if lengths is None:
        return metric.of(old), metric.of(new)
    return metric.of(old) / lengths[0], metric.of(new) / lengths[1]


def _lengths(profiles: tuple[Profile, Profile], metric: Metric, scale: str) -> tuple[float, float]:
    """What each recording's figures are divided by."""
    if scale not in SCALES:
        raise UsageError(f"cannot scale by {scale!r}; choose one of {', '.join(SCALES)}")
    if metric.name not in ADDITIVE:
        raise UsageError(
            f"what is {metric.words} does not add up over a run, so it is compared as it is; to "
            f"normalize, choose a metric of {', '.join(ADDITIVE)}"
        )
    found = []
    for profile in profiles:
        summary = summarize(profile)
        length = summary.duration_seconds if scale == "time" else float(summary.allocations)
        if length <= 0:
            what = "lasted no time" if scale == "time" else "made no allocation"
            raise UsageError(f"{profile.recording.path} {what}: there is nothing to divide by")
        found.append(length)
    return found[0], found[1]


def _keys(shared: Shared, folds: tuple[Fold, Fold], by: str) -> tuple[list[Ints], list[Bools]]:
    """For each row of both folds its key, and whether it stands for code without symbols."""
    if by in ("thread", "process"):
        numbers = (shared_threads if by == "thread" else shared_processes)(shared)
        # The last is for what has no thread or process: row -1.
        rows = [np.array([*side, -1], np.int64)[fold.entity] for side, fold in zip(numbers, folds)]
        return rows, [np.zeros(len(fold), np.bool_) for fold in folds]
    keys = shared.keys(by)[:2]
    grouped = shared.grouped if by in ("function", "line") else None
    alone = [
        np.zeros(len(fold), np.bool_) if grouped is None else grouped[side][fold.location]
        for side, fold in enumerate(folds)
    ]
    return [key[fold.location] for key, fold in zip(keys, folds)], alone


def summary_change(old: Summary, new: Summary) -> dict[str, float | None]:
    """The difference of every figure of two summaries; None: one of them does not know it."""
    found: dict[str, float | None] = {}
    for field in fields(Summary):
        before, after = getattr(old, field.name), getattr(new, field.name)
        found[field.name] = None if before is None or after is None else after - before
    return found
