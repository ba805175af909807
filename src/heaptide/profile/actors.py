"""Which threads and processes are alike, in one recording or two: by what they are called.

Their ids say nothing from one run to the next, and their numbers little: a pool starts as many
threads as there is work for. What is called alike in a recording is one.
"""

from __future__ import annotations

import posixpath
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from .metrics import COLUMNS
from .threads import MAIN_THREADS, thread_entries, thread_name

if TYPE_CHECKING:
    from .fold import Fold
    from .profile import Profile
    from .shared import Shared

Key = tuple[object, ...]
Numbers = tuple[list[int], list[int]]
Ints = npt.NDArray[np.int64]
_DIGITS = re.compile(r"\d+")
_FEW = 8  # threads that are alike and told one by one all the same


def shared_processes(shared: Shared) -> Numbers:
    """For each row of the processes of both recordings a number: equal ones are one program.

    By their commands; else by these without directories and numbers. What was started first in
    each is the same, whatever it is called.
    """
    sides = [_commands(profile) for profile in shared.profiles]
    numbers = _numbered(sides, [tuple, _plain])
    if sides[0] and sides[1]:
        first = [side[0] for side in numbers]
        if first[0] not in numbers[1] and first[1] not in numbers[0]:
            numbers = ([first[1] if n == first[0] else n for n in numbers[0]], numbers[1])
    return numbers


def shared_threads(shared: Shared) -> Numbers:
    """For each row of the threads of both recordings a number: equal ones are of one name.

    Within the same program; those without a name by the function that they run; else by the name
    without its numbers.
    """
    processes = shared_processes(shared)
    sides = []
    for side, profile in enumerate(shared.profiles):
        threads, function = profile.recording.threads, shared.split(shared.function)[side]
        keys: list[Key] = []
        for row, entry in enumerate(shared.entries[side].tolist()):
            name, process = thread_name(profile.recording, row), int(threads.process[row])
            of = processes[side][process] if process >= 0 else -1
            if name in MAIN_THREADS:
                name = MAIN_THREADS[0]
            runs = int(function[entry]) if name == "thread" and entry >= 0 else -1
            keys.append((of, name, runs))
        sides.append(keys)
    return _numbered(sides, [tuple, lambda key: (key[0], _DIGITS.sub("", str(key[1])), key[2])])


def _numbered(sides: Sequence[Sequence[Key]], forms: Sequence[Callable[[Key], Key]]) -> Numbers:
    """Numbers of keys: those that are in both by the first form, the rest by the next one."""
    numbers: dict[tuple[int, Key], int] = {}
    found: list[list[int]] = [[-1] * len(side) for side in sides]
    for level, form in enumerate(forms):
        formed = [[form(key) for key in side] for side in sides]
        last = level == len(forms) - 1
        left = [
            {key for key, number in zip(keys, done) if number < 0}
            for keys, done in zip(formed, found)
        ]
        for keys, done in zip(formed, found):
            for row, key in enumerate(keys):
                if done[row] < 0 and (last or (key in left[0] and key in left[1])):
                    done[row] = numbers.setdefault((level, key), len(numbers))
    return found[0], found[1]


def _commands(profile: Profile) -> list[Key]:
    recording = profile.recording
    return [
        tuple(recording.command_of(row)) or (recording.processes.exe[row],)
        for row in range(len(recording.processes))
    ]


def _plain(command: Key) -> Key:
    """The command without what differs between two places to run it in, and two runs."""
    return tuple(_DIGITS.sub("", posixpath.basename(str(word).rstrip("/"))) for word in command)


@dataclass(frozen=True)
class LikeThreads:
    """Threads of one recording that do the same: of one process and name, running one function.

    A server with a thread for each request has as many rows of them as requests, each of no
    interest by itself. Of no more than a few each is told by itself.
    """

    group: Ints  # of each thread a number
    names: list[str]  # of each group: a thread's name, "runs" and a function, or "thread"
    each: list[str]  # the same of each thread
    runs: list[str]  # of each thread the function that it runs; "": the main thread's, or not known

    def fold(self, found: Fold) -> tuple[Fold, list[Ints]]:
        """``found``, a fold by thread, with a row for each group, and the threads of each row.

        A row's ``entity`` is the thread that has most by the metric; -1: of threads not known.
        """
        if not len(found):
            return found, []
        key = np.where(found.entity >= 0, np.append(self.group, 0)[found.entity], len(self.names))
        by_key = np.argsort(key, kind="stable")  # of each the one that has most stays the first
        starts = np.flatnonzero(np.append(True, np.diff(key[by_key]) != 0))
        first = by_key[starts]
        figures = np.add.reduceat(found.figures[by_key], starts, axis=0)
        rows = np.split(found.entity[by_key], starts[1:])
        total = figures[:, COLUMNS.index("total_bytes")]
        order = np.lexsort((first, -total, -found.metric.of(figures)))
        members = [rows[at] for at in order.tolist()]
        nothing = np.zeros(len(order), np.int64)
        folded = replace(
            found,
            figures=figures[order],
            entity=found.entity[first[order]],
            location=nothing - 1,
            inclusive=None if found.inclusive is None else found.metric.of(figures[order]),
            imports=nothing,
        )
        return folded, members


def like_threads(profile: Profile, size: Ints | None = None) -> LikeThreads:
    """Which threads of ``profile``'s recording are alike. ``size``: see ``thread_entries``."""
    threads, locations = profile.recording.threads, profile.locations
    entries = thread_entries(profile, size).tolist()
    named = [thread_name(profile.recording, row) for row in range(len(threads))]
    runs = [
        locations.texts[locations.function[entry]]
        if entry >= 0 and name not in MAIN_THREADS
        else ""
        for name, entry in zip(named, entries)
    ]
    names = [
        f"runs {function}" if name == "thread" and function else name
        for name, function in zip(named, runs)
    ]
    exact = list(zip(threads.process.tolist(), names, runs))
    loose = [(of, _DIGITS.sub("*", name), function) for of, name, function in exact]
    many = Counter(loose)
    numbers: dict[Key, int] = {}
    titles: list[str] = []
    group = np.zeros(len(threads), np.int64)
    for row, like in enumerate(loose):
        alike = many[like] > _FEW
        number = numbers.setdefault(like if alike else (row,), len(numbers))
        if number == len(titles):
            titles.append(names[row])
        elif titles[number] != names[row]:
            titles[number] = like[1]
        group[row] = number
    return LikeThreads(group, titles, names, runs)
