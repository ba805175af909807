"""What the places of two recordings are called on one page: what ``Shared`` takes for one function,
file, line or module has one name there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from heaptide.profile.fold import combine
from heaptide.profile.match import unnamed
from heaptide.profile.recorded_lines import ONLY_OLD

from .rows import Ints

if TYPE_CHECKING:
    from heaptide.profile import Profile
    from heaptide.profile.shared import Shared

Bools = npt.NDArray[np.bool_]

_BEFORE = " (before)"  # behind a module that is not its namesake of the newer recording


@dataclass(frozen=True)
class Names:
    """Columns with a row for each location; functions, files and modules are numbers of ``texts``.

    ``inlined``: frames that are shown as a part of their caller's, in its place.
    """

    texts: list[str]
    function: Ints
    file: Ints
    module: Ints
    line: Ints
    old_file: Ints
    old_line: Ints
    inlined: Bools


def own_names(profile: Profile) -> Names:
    """As the recording itself has them."""
    locations = profile.locations
    module, names = profile.modules
    texts = list(locations.texts)
    numbers = {text: number for number, text in enumerate(texts)}
    of_module = [_number(numbers, texts, name) for name in names]
    return Names(
        texts,
        locations.function.astype(np.int64),
        locations.file.astype(np.int64),
        np.array(of_module, np.int64)[module],
        locations.line.astype(np.int64),
        np.zeros(len(locations), np.int64),
        np.zeros(len(locations), np.int64),
        np.zeros(len(locations), np.bool_),
    )


def shared_names(shared: Shared) -> tuple[Names, Names]:
    """Of the older and of the newer recording, as the newer one has them where both do.

    A function that moved between files is in that of the newer recording. Lines that only the
    older one has keep their number, unless the newer has another line of that number: then, as in
    a function that moved, they have none, but that of the older one as ``old_line``.
    """
    texts = [""]
    numbers = {"": 0}

    def column(rows: Ints, called: dict[int, str]) -> Ints:
        distinct, inverse = np.unique(rows, return_inverse=True)
        found = [_number(numbers, texts, called[row]) for row in distinct.tolist()]
        return np.array(found, np.int64)[inverse.reshape(-1)]

    file = _files(shared)
    number = np.where(shared.line > ONLY_OLD, shared.line - ONLY_OLD, shared.line)
    line = np.where((file == shared.file) & ~_taken(shared, file, number), number, 0)
    lost = shared.is_old & (line == 0) & (number > 0)
    called = _called(shared.file, _located(shared, "file"))
    function = shared.split(column(shared.function, _functions(shared)))
    module = shared.split(column(shared.module, _modules(shared)))
    lines, inlined = shared.split(line), shared.split(shared.inlined)
    files = shared.split(column(file, called))
    old_files = shared.split(np.where(lost, column(shared.file, called), 0))
    old_lines = shared.split(np.where(lost, number, 0))
    old, new = (
        Names(
            texts,
            function[side],
            files[side],
            module[side],
            lines[side],
            old_files[side],
            old_lines[side],
            inlined[side],
        )
        for side in (0, 1)
    )
    return old, new


def _number(numbers: dict[str, int], texts: list[str], text: str) -> int:
    found = numbers.setdefault(text, len(texts))
    if found == len(texts):
        texts.append(text)
    return found


def _files(shared: Shared) -> Ints:
    """The number of each location's file; of one function's the same in both recordings."""
    known = np.flatnonzero(shared.file > 0)
    found = np.zeros(int(shared.function.max(initial=-1)) + 1, np.int64)
    found[shared.function[known]] = shared.file[known]  # the newer recording's are the last
    return found[shared.function]


def _taken(shared: Shared, file: Ints, number: Ints) -> Bools:
    """Which lines that only the older recording has have the number of another one of the newer."""
    place = combine(file, number)
    taken = np.isin(place, place[~shared.is_old])
    return np.asarray((shared.line > ONLY_OLD) & taken)


_Column = tuple[Ints, list[str]]  # numbers, and the texts they are of


def _located(shared: Shared, name: str) -> tuple[_Column, _Column]:
    old, new = (profile.locations for profile in shared.profiles)
    return (getattr(old, name), old.texts), (getattr(new, name), new.texts)


def _called(numbers: Ints, sides: tuple[_Column, _Column]) -> dict[int, str]:
    """What each of ``numbers``, a row for each location of both, is called: in the newer recording
    if that has it, and the shortest there, without what compilers append."""
    found: dict[int, str] = {}
    start = 0
    for column, texts in sides:
        rows = numbers[start : start + len(column)]
        start += len(column)
        names: dict[int, str] = {}
        for pair in np.unique(rows * len(texts) + column).tolist():
            number, text = pair // len(texts), texts[pair % len(texts)]
            before = names.setdefault(number, text)
            names[number] = min(before, text, key=lambda name: (len(name), name))
        found.update(names)
    return found


def _functions(shared: Shared) -> dict[int, str]:
    found = _called(shared.function, _located(shared, "function"))
    modules = _called(shared.function, _located(shared, "module"))
    for number in np.unique(shared.function[np.concatenate(shared.grouped)]).tolist():
        found[number] = unnamed(modules[number])
    return found


def _modules(shared: Shared) -> dict[int, str]:
    old, new = (profile.modules for profile in shared.profiles)
    found = _called(shared.module, (old, new))
    theirs = set(np.unique(shared.split(shared.module)[1]).tolist())
    taken = {found[number] for number in theirs}
    for number, name in found.items():
        if name in taken and number not in theirs:
            found[number] = name + _BEFORE
    return found
