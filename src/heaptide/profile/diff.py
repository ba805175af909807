"""What has changed from one recording to another, matched by names, see ``shared``."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import numpy.typing as npt

from heaptide.errors import UsageError

from .actors import shared_processes, shared_threads
from .fold import FOLDS, combine
from .shared import Shared
from .summary import summarize
from .sums import forget, summed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .metrics import Metric
    from .profile import Profile

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
T = TypeVar("T", bound=np.generic)

ADDITIVE = (
    "total",
    "allocations",
    "temporary",
    "short-lived",
    "copied",
    "leaked",
    "leaked-blocks",
    "reallocations",
)
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
    the group, its heaviest; -1: not known. ``functions``: what functions these are, in numbers that
    both share. ``members``: how many of these it has figures of, 0 where it lacks the group.
    ``grouped``: all code without symbols of an object.
    ``lengths``: what figures are divided by where they are compared by ``scale``, see ``compare``.
    """

    by: str
    metric: Metric
    old: Ints
    new: Ints
    places: tuple[Ints, Ints]
    members: tuple[Ints, Ints]
    grouped: Bools
    functions: tuple[Ints, Ints]
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
    def function_gone(self) -> Bools:
        """Whether most of a line was another function's, before: that of the older recording."""
        both = (self.members[0] > 0) & (self.members[1] > 0) & (self.by == "line")
        return np.asarray(both & (self.functions[0] != self.functions[1]) & (self.change < 0))

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
    once: bool = False,
) -> Diff:
    """Compares what two profiles sum up to. ``by`` as ``Profile.fold`` takes it.

    Differences of all rows sum up to the difference of the totals, in every column. ``scale``:
    compare per second of the run ("time"), or per allocation ("allocations"), for metrics that add
    up over a run. ``shared``: what is known of both already. ``once``: forget what is kept for each
    context, of one recording before the other is summed up. Raises UsageError as ``fold``, and for
    a scale that makes no sense.
    """
    if by not in FOLDS:
        raise UsageError(f"cannot compare by {by!r}; choose one of {', '.join(FOLDS)}")
    if scale is not None:
        _check(scale, metric)
    sums = []
    for profile in (old, new):
        sums.append(summed(profile, metric, by))
        if once:
            summarize(profile)  # which the recording keeps
            forget(profile)
    lengths = None if scale is None else _lengths((old, new), scale)
    keys, lines, functions, grouped = _keys(Shared(old, new) if shared is None else shared, by)
    weights = _weights(keys, functions, [metric.of(found) for found in sums])
    count = max(int(key.max(initial=-1)) for key in keys) + 1
    figures, places, members = [], [], []
    alone = np.zeros(count, np.bool_)
    for found, key, line, weight, single in zip(sums, keys, lines, weights, grouped):
        used = np.flatnonzero(found.any(axis=1))
        total = np.zeros((count, found.shape[1]), np.int64)
        np.add.at(total, key[used], found[used])
        figures.append(total)
        values = metric.of(found[used])
        places.append(_heaviest(key[used], line[used], weight[used], values, used, count))
        members.append(np.bincount(key[used], minlength=count).astype(np.int64))
        alone[key[used[single[used]]]] = True
    for place, found in zip(places, sums):
        if by in ("thread", "process"):
            place[place == len(found) - 1] = -1
    rows = np.flatnonzero((members[0] > 0) | (members[1] > 0))
    compared = _scaled(metric, figures[0][rows], figures[1][rows], lengths)
    # Ties by what does not depend on how keys are numbered: the larger, then the earlier place.
    order = np.lexsort((places[0][rows], places[1][rows], -compared[1], -_step(*compared)))
    rows = rows[order]
    return Diff(
        by,
        metric,
        figures[0][rows],
        figures[1][rows],
        (places[0][rows], places[1][rows]),
        (members[0][rows], members[1][rows]),
        alone[rows],
        _pair([of[place[rows]] for of, place in zip(functions, places)]),
        scale,
        lengths,
    )


def _weights(
    keys: tuple[Ints, Ints], functions: tuple[Ints, Ints], values: list[Ints]
) -> tuple[Ints, Ints]:
    """For each row of both sums what its function has of its key: in the recording with more."""
    number = combine(np.concatenate(keys), np.concatenate(functions))
    sides = np.split(number, [len(keys[0])])
    count = int(number.max(initial=-1)) + 1
    most = np.zeros(count, np.int64)
    for side, value in zip(sides, values):
        found = np.zeros(count, np.int64)
        np.add.at(found, side, value)
        np.maximum(most, found, out=most)
    return most[sides[0]], most[sides[1]]


def _heaviest(
    key: Ints, line: Ints, of_function: Ints, value: Ints, place: Ints, count: int
) -> Ints:
    """For each key the place, of its line with the largest sum of ``value`` and there of the
    largest ``of_function``; -1: it has none."""
    found = np.full(count, -1, np.int64)
    number = combine(key, line)
    weight = np.zeros(int(number.max(initial=-1)) + 1, np.int64)
    np.add.at(weight, number, value)
    order = np.lexsort((-place, of_function, -number, weight[number], key))
    found[key[order]] = place[order]  # the last of a key's stays
    return found


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


def _check(scale: str, metric: Metric) -> None:
    """Raises UsageError if ``metric`` cannot be compared by ``scale``."""
    if scale not in SCALES:
        raise UsageError(f"cannot scale by {scale!r}; choose one of {', '.join(SCALES)}")
    if metric.name not in ADDITIVE:
        raise UsageError(
            f"what is {metric.words} does not add up over a run, so it is compared as it is; to "
            f"normalize, choose a metric of {', '.join(ADDITIVE)}"
        )


def _lengths(profiles: tuple[Profile, Profile], scale: str) -> tuple[float, float]:
    """What each recording's figures are divided by."""
    found = []
    for profile in profiles:
        summary = summarize(profile)
        length = summary.duration_seconds if scale == "time" else float(summary.allocations)
        if length <= 0:
            what = "lasted no time" if scale == "time" else "made no allocation"
            raise UsageError(f"{profile.recording.path} {what}: there is nothing to divide by")
        found.append(length)
    return found[0], found[1]


def _keys(
    shared: Shared, by: str
) -> tuple[tuple[Ints, Ints], tuple[Ints, Ints], tuple[Ints, Ints], tuple[Bools, Bools]]:
    """For each row of both sums its key, its line and function, and whether it stands for nameless
    code."""
    if by in ("thread", "process"):
        numbers = (shared_threads if by == "thread" else shared_processes)(shared)
        # The last row is what has no thread or process.
        last = max((*numbers[0], *numbers[1]), default=-1) + 1
        actors = [np.array([*side, last], np.int64) for side in numbers]
        nothing = [np.zeros(len(actor), np.int64) for actor in actors]
        return _pair(actors), _pair(nothing), _pair(nothing), _pair([none > 0 for none in nothing])
    first, second, last = shared.keys(by)
    keys = [np.append(first, last), np.append(second, last)]
    lines = [np.append(profile.locations.line, 0) for profile in shared.profiles]
    functions = [np.append(side, -1) + 1 for side in shared.split(shared.function)]
    grouped = [np.append(side & (by in ("function", "line")), False) for side in shared.grouped]
    return _pair(keys), _pair(lines), _pair(functions), _pair(grouped)


def _pair(sides: list[npt.NDArray[T]]) -> tuple[npt.NDArray[T], npt.NDArray[T]]:
    return sides[0], sides[1]


def summary_change(
    old: Mapping[str, float | None], new: Mapping[str, float | None]
) -> dict[str, float | None]:
    """The difference of every figure of two summaries; None: one of them does not know it."""
    found: dict[str, float | None] = {}
    for name, before in old.items():
        after = new[name]
        found[name] = None if before is None or after is None else after - before
    return found
