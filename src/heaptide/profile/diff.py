"""What has changed from one recording to another, matched by the names of functions and files."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from .match import function_key, match_paths
from .threads import thread_name

if TYPE_CHECKING:
    from .fold import Fold
    from .metrics import Metric
    from .profile import Profile

Ints = npt.NDArray[np.int64]


class Status(IntEnum):
    """How a group's metric changed."""

    GREW = 0
    SHRANK = 1
    NEW = 2  # the older recording has none of it
    GONE = 3
    SAME = 4


@dataclass(frozen=True)
class Diff:
    """A row for each group that either recording has; those that grew most come first.

    ``old`` and ``new`` are figures shaped (rows, columns of the metric's figures), zeros where a
    recording lacks the group. ``place``: the row of the locations (``by`` function, line, file,
    module), of threads or of processes that stands for the group, in the newer recording if
    ``in_new``, else in the older one.
    """

    by: str
    metric: Metric
    old: Ints
    new: Ints
    place: Ints
    in_new: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.place)

    @property
    def change(self) -> Ints:
        """The metric's signed difference of each row."""
        return self.metric.of(self.new) - self.metric.of(self.old)

    @property
    def status(self) -> npt.NDArray[np.uint8]:
        """A Status for each row."""
        old, new = self.metric.of(self.old), self.metric.of(self.new)
        found = np.full(len(self), Status.SAME, np.uint8)
        found[new > old] = Status.GREW
        found[new < old] = Status.SHRANK
        found[(old == 0) & (new > 0)] = Status.NEW
        found[(old > 0) & (new == 0)] = Status.GONE
        return found


def compare(old: Profile, new: Profile, by: str, metric: Metric) -> Diff:
    """Compares the folds of two profiles. ``by`` as ``Profile.fold`` takes it.

    Differences of all rows sum up to the difference of the totals. Raises UsageError as ``fold``.
    """
    folds = [old.fold(by, metric), new.fold(by, metric)]
    keys = _keys((old, new), folds, by)
    number: dict[tuple[object, ...], int] = {}
    rows = [np.array([number.setdefault(k, len(number)) for k in of], np.int64) for of in keys]
    columns = max(fold.figures.shape[1] for fold in folds)
    figures = []
    for row, fold in zip(rows, folds):
        sums = np.zeros((len(number), columns), np.int64)
        np.add.at(sums, row, fold.figures)
        figures.append(sums)
    place = np.full(len(number), -1, np.int64)
    in_new = np.zeros(len(number), np.bool_)
    for row, fold, is_new in zip(rows, folds, (False, True)):
        # Folds are largest first: the largest of those that fall together stands for them.
        place[row[::-1]] = (fold.location if by not in _OWNERS else fold.entity)[::-1]
        in_new[row] = is_new
    change = metric.of(figures[1]) - metric.of(figures[0])
    order = np.lexsort((np.arange(len(number)), -metric.of(figures[1]), -change))
    return Diff(by, metric, figures[0][order], figures[1][order], place[order], in_new[order])


_OWNERS = ("thread", "process")


def _keys(
    profiles: tuple[Profile, Profile], folds: list[Fold], by: str
) -> list[list[tuple[object, ...]]]:
    """For each row of both folds what it is told by; equal for what is the same."""
    if by == "thread":
        return [
            [_thread_key(p, int(row)) for row in fold.entity] for p, fold in zip(profiles, folds)
        ]
    if by == "process":
        return [
            [_process_key(p, int(row)) for row in fold.entity] for p, fold in zip(profiles, folds)
        ]
    texts = [profile.locations.texts for profile in profiles]
    files = [_distinct(p, fold.location, "file") for p, fold in zip(profiles, folds)]
    modules = [{p.module_of(int(row)) for row in fold.location} for p, fold in zip(profiles, folds)]
    file_of, module_of = match_paths(*files), match_paths(*modules)
    found = []
    for side, (profile, fold) in enumerate(zip(profiles, folds)):
        at = profile.locations
        keys: list[tuple[object, ...]] = []
        for row in fold.location.tolist():
            function = function_key(texts[side][at.function[row]])
            file, module = texts[side][at.file[row]], profile.module_of(row)
            if side == 0:
                file, module = file_of.get(file, file), module_of.get(module, module)
            line = int(at.line[row])
            if by == "module":
                keys.append((module,) if module else (module, function))
            elif by == "line" and file and line:
                keys.append((file, line))
            elif by == "file" and (file or module):
                keys.append((file, "" if file else module))
            else:
                keys.append((function, file, "" if file else module))
        found.append(keys)
    return found


def _distinct(profile: Profile, rows: Ints, column: str) -> set[str]:
    numbers = np.unique(getattr(profile.locations, column)[rows])
    return {profile.locations.texts[number] for number in numbers.tolist()}


def _thread_key(profile: Profile, row: int) -> tuple[object, ...]:
    return (thread_name(profile.recording, row) if row >= 0 else None,)


def _process_key(profile: Profile, row: int) -> tuple[object, ...]:
    if row < 0:
        return (None,)
    recording = profile.recording
    return (" ".join(recording.command_of(row)) or recording.processes.exe[row],)
