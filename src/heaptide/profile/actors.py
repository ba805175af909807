"""Which threads and processes of one recording are which of another: by what they are called.

Their ids say nothing from one run to the next, and their numbers little: a pool starts as many
threads as there is work for. What is called alike in a recording is one.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from .threads import MAIN_THREADS, thread_name

if TYPE_CHECKING:
    from .profile import Profile
    from .shared import Shared

Key = tuple[object, ...]
Numbers = tuple[list[int], list[int]]
_DIGITS = re.compile(r"\d+")


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
