"""What places in code of two recordings are, in numbers that mean the same in both."""

from __future__ import annotations

from collections import Counter, defaultdict
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import numpy.typing as npt

from heaptide.errors import UsageError
from heaptide.recording import FrameKind

from .fold import combine
from .lines import moved_lines
from .match import (
    function_key,
    is_comprehension,
    match_paths,
    match_renamed,
    python_key,
    unnamed,
)
from .origin import Origin
from .sums import forget
from .threads import thread_entries

if TYPE_CHECKING:
    from heaptide.recording import Recording

    from .profile import Profile

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
T = TypeVar("T", bound=np.generic)

SHARED_FOLDS = ("function", "line", "file", "module")
"""What places of two recordings can be matched by."""

_QUALIFIED = 0x030B0000  # from Python 3.11 on, code knows what it is defined in
_INLINED = 0x030C0000  # from 3.12 on, comprehensions have no code of their own


def shared_keys(old: Profile, new: Profile, by: str) -> tuple[Ints, Ints, int]:
    """For each location of ``old``, and of ``new``, a number: equal ones are one ``by``.

    ``by``: function, line, file or module. Returns the numbers of ``old``'s locations, those of
    ``new``'s, and how many numbers there are, from 0 on. What is one group in a recording
    (``groups_of``) has one number; only copies of a function that compilers make, closures of one
    function, and addresses without a name of one object share one. No two files do.

    Functions match by name and file, wherever in it they have moved to; lines by their place in
    their function, see ``lines``; files and modules as ``match_paths`` says, and files without a
    namesake by the functions in them. Raises UsageError for another ``by``.
    """
    return Shared(old, new).keys(by)


class Shared:
    """The locations of two profiles, those of ``old`` first, under common numbers.

    Each column has a row for every location of both; 0 is "not known". Computed at first use.
    """

    def __init__(self, old: Profile, new: Profile) -> None:
        self.profiles = (old, new)
        self.sizes = (len(old.locations), len(new.locations))

    def keys(self, by: str) -> tuple[Ints, Ints, int]:
        """See ``shared_keys``."""
        numbers = self._keys(by)
        dense = np.unique(numbers, return_inverse=True)[1].reshape(-1)
        first, second = self.split(dense)
        return first, second, int(dense.max(initial=-1)) + 1

    def _keys(self, by: str) -> Ints:
        if by == "function":
            return self.function
        if by == "module":
            # A place without a module, special or made at run time, stays by itself.
            return combine(self.module, np.where(self.module == 0, self.function + 1, 0))
        if by == "line":
            known = (self.file > 0) & (self.line > 0)
            line = np.where(known, self.line, 0)
            return combine(self.file, line, np.where(known, 0, self.function + 1))
        if by == "file":
            module = np.where(self.file == 0, self.module, 0)
            nowhere = (self.file == 0) & (self.module == 0)
            return combine(self.file, module, np.where(nowhere, self.function + 1, 0))
        raise UsageError(f"cannot match by {by!r}; choose one of {', '.join(SHARED_FOLDS)}")

    def split(self, column: npt.NDArray[T]) -> tuple[npt.NDArray[T], npt.NDArray[T]]:
        """The rows of ``old`` and those of ``new``."""
        return column[: self.sizes[0]], column[self.sizes[0] :]

    def join(self, name: str) -> Ints:
        """A column of both profiles' ``locations``, numbers of lines or kinds."""
        return np.concatenate([getattr(p.locations, name) for p in self.profiles]).astype(np.int64)

    @cached_property
    def entries(self) -> tuple[Ints, Ints]:
        """For each thread of both the location that it runs, see ``thread_entries``."""
        found = []
        for profile in self.profiles:
            recording = profile.recording
            found.append(
                thread_entries(profile, recording.totals.bytes_in * recording.contexts.counted)
            )
            forget(profile)
        return found[0], found[1]

    @cached_property
    def is_old(self) -> Bools:
        return np.arange(sum(self.sizes)) < self.sizes[0]

    # ---------------------------------------------------------------------------------------
    # Names

    @property
    def name(self) -> Ints:
        """The number of the function's name, whatever file it is in."""
        return self._names[0]

    @cached_property
    def _names(self) -> tuple[Ints, list[str]]:
        """The names' numbers, and the names."""
        python, grouped = self.join("kind") == FrameKind.PYTHON, np.concatenate(self.grouped)
        bare, inlined = self._pythons
        numbers: dict[str, int] = {"": 0}
        columns = []
        for profile, is_python, is_grouped in zip(
            self.profiles, self.split(python), self.split(grouped)
        ):
            at = profile.locations
            how = is_python + 2 * is_grouped  # which rule a text goes by
            what = np.where(is_grouped, at.module, at.function)
            pairs, inverse = np.unique(what * 4 + how, return_inverse=True)
            found = []
            for text, rule in ((at.texts[pair // 4], pair % 4) for pair in pairs.tolist()):
                if rule & 2:
                    key = unnamed(text)
                elif rule & 1:
                    key = python_key(text, bare=bare, inlined=inlined)
                else:
                    key = text if text.startswith(("0x", "[")) else function_key(text)
                found.append(numbers.setdefault(key, len(numbers)))
            columns.append(np.array(found, np.int64)[inverse.reshape(-1)])
        return np.concatenate(columns), list(numbers)

    @cached_property
    def _pythons(self) -> tuple[bool, bool]:
        """``bare`` and ``inlined``, see ``python_key``."""
        versions = [_python_versions(profile.recording) for profile in self.profiles]
        known = [version for version in versions if version]
        bare = _differ(known, _QUALIFIED)
        return bare, not bare and _differ(known, _INLINED)

    @cached_property
    def inlined(self) -> Bools:
        """Whether it is code of its own that the other recording's Python has in the caller's."""
        found = [np.zeros(size, np.bool_) for size in self.sizes]
        if self._pythons[1]:
            for part, profile in zip(found, self.profiles):
                at = profile.locations
                names, inverse = np.unique(at.function, return_inverse=True)
                part[:] = np.array([is_comprehension(at.texts[n]) for n in names.tolist()])[inverse]
                part &= at.kind == FrameKind.PYTHON
        return np.concatenate(found)

    @cached_property
    def function(self) -> Ints:
        """The number of the function: a name in a file, or in a module where no file is known."""
        module = np.where(self.file == 0, self.module, 0)
        return self._in_another_file(combine(self.name, self.file, module))

    def _in_another_file(self, function: Ints) -> Ints:
        """Functions of only one recording as the one of their name and module in the other.

        Such have a file in one of the builds alone, or were moved; for that the name has to be a
        qualified one, not a C function's, of which every file may have its own.
        """
        sides = [np.unique(part, return_index=True) for part in self.split(function)]
        partner = function.copy()
        rows = []
        for (numbers, first), (others, _), shift in zip(sides, sides[::-1], (0, self.sizes[0])):
            at = first[~np.isin(numbers, others)] + shift
            usable = (self.join("kind")[at] == FrameKind.NATIVE) & (self.module[at] > 0)
            at = at[usable & ~np.concatenate(self.grouped)[at]]
            key = self.name[at] * (int(self.module.max(initial=0)) + 1) + self.module[at]
            distinct, where, count = np.unique(key, return_index=True, return_counts=True)
            rows.append(dict(zip(distinct[count == 1].tolist(), at[where[count == 1]].tolist())))
        texts = self.profiles[0].locations.texts
        for key in rows[0].keys() & rows[1].keys():
            old, new = rows[0][key], rows[1][key]
            qualified = "::" in texts[self.profiles[0].locations.function[old]]
            if qualified or not (self.file[old] and self.file[new]):
                partner[function == function[old]] = function[new]
        return partner

    @cached_property
    def grouped(self) -> tuple[Bools, Bools]:
        """For each location of both whether it stands for all of its object without symbols."""
        same = self._same_builds
        found = []
        for profile, paths in zip(self.profiles, same):
            at = profile.locations
            nameless = (at.kind == FrameKind.NATIVE) & ~at.resolved
            used = np.unique(at.module)
            known = np.zeros(len(at.texts), np.bool_)
            known[used] = [at.texts[number] in paths for number in used.tolist()]
            found.append(np.asarray(nameless & ~known[at.module]))
        return found[0], found[1]

    @cached_property
    def _same_builds(self) -> tuple[set[str], set[str]]:
        """The paths of objects that are the same build in both, so that addresses mean the same."""
        builds = [_build_ids(profile.recording) for profile in self.profiles]
        pairs = match_paths(builds[0], builds[1]).items()
        same = [(a, b) for a, b in pairs if len(builds[0][a]) == 1 and builds[0][a] == builds[1][b]]
        return {a for a, _ in same}, {b for _, b in same}

    # ---------------------------------------------------------------------------------------
    # Files and modules

    @cached_property
    def file(self) -> Ints:
        """The number of the file."""
        sides = []
        for profile in self.profiles:
            numbers = np.unique(profile.locations.file).tolist()
            sides.append({profile.locations.texts[number] for number in numbers} - {""})
        found = match_paths(*sides)
        lone = [sides[0] - found.keys(), sides[1] - set(found.values())]
        if all(lone):
            found.update(
                match_renamed(self._functions_in(0, lone[0]), self._functions_in(1, lone[1]))
            )
        return self._numbered("file", found)

    def _functions_in(self, side: int, files: set[str]) -> dict[str, set[str]]:
        """The names of the functions in those of ``files`` that are the user's own."""
        at, name = self.profiles[side].locations, self.split(self.name)[side]
        wanted = np.zeros(len(at.texts), np.bool_)
        used = np.unique(at.file)
        wanted[used] = [at.texts[number] in files for number in used.tolist()]
        rows = np.flatnonzero(wanted[at.file] & (at.origin == Origin.OWN))
        width = len(at.texts)
        found: dict[str, set[str]] = defaultdict(set)
        for pair in np.unique(name[rows] * width + at.file[rows]).tolist():
            found[at.texts[pair % width]].add(self._names[1][pair // width])
        return found

    def _numbered(self, column: str, partner: dict[str, str]) -> Ints:
        """A column of texts as numbers, those of ``old`` under the names of their partners."""
        numbers: dict[tuple[str, bool], int] = {("", False): 0}
        columns = []
        for profile, is_old in zip(self.profiles, (True, False)):
            at = profile.locations
            used, inverse = np.unique(getattr(at, column), return_inverse=True)
            columns.append(_number(numbers, [at.texts[n] for n in used], partner, is_old)[inverse])
        return np.concatenate(columns)

    @cached_property
    def module(self) -> Ints:
        """The number of the module: a path, or what Python calls it."""
        numbers: dict[tuple[str, bool], int] = {("", False): 0}
        partner = self._modules()
        columns = []
        for profile, is_old in zip(self.profiles, (True, False)):
            module, names = profile.modules
            columns.append(_number(numbers, names, partner, is_old)[module])
        return np.concatenate(columns)

    def _modules(self) -> dict[str, str]:
        """For modules of ``old`` what they are in ``new``.

        Python's are the same if their files are: the name of one's own depends on which others
        were recorded. Programs that were recorded match whatever they are called.
        """
        found = self._modules_by_files()
        sides = [set(profile.modules[1]) - {""} for profile in self.profiles]
        rest = [sides[0] - found.keys(), sides[1] - set(found.values())]
        found.update(match_paths(*rest))
        programs = [_program(profile) for profile in self.profiles]
        if programs[0] in sides[0] - found.keys() and programs[1] in sides[1] - set(found.values()):
            found[programs[0]] = programs[1]
        return found

    def _modules_by_files(self) -> dict[str, str]:
        pairs = []
        for profile, file in zip(self.profiles, self.split(self.file)):
            at, (module, names) = profile.locations, profile.modules
            python = np.flatnonzero((at.kind == FrameKind.PYTHON) & (at.file > 0))
            distinct = np.unique(file[python] * len(names) + module[python]).tolist()
            pairs.append([(pair // len(names), names[pair % len(names)]) for pair in distinct])
        of_file = dict(pairs[1])
        votes = Counter((name, of_file[file]) for file, name in pairs[0] if file in of_file)
        found: dict[str, str] = {}
        taken: set[str] = set()
        # The most files first; a module that kept its name before one that did not.
        for (old, new), _ in sorted(
            votes.items(), key=lambda vote: (-vote[1], vote[0][0] != vote[0][1], vote[0])
        ):
            if old and new and old not in found and new not in taken:
                found[old] = new
                taken.add(new)
        return found

    # ---------------------------------------------------------------------------------------

    @cached_property
    def line(self) -> Ints:
        """The line; ``old``'s as ``new`` numbers them, see ``moved_lines``. 0: not known."""
        return moved_lines(self)


def _number(
    numbers: dict[tuple[str, bool], int], texts: list[str], partner: dict[str, str], is_old: bool
) -> Ints:
    """Numbers of texts; one of ``old`` without a partner is not its namesake in ``new``."""
    found = []
    for text in texts:
        if not text:
            key = ("", False)
        elif is_old:
            key = (partner[text], False) if text in partner else (text, True)
        else:
            key = (text, False)
        found.append(numbers.setdefault(key, len(numbers)))
    return np.array(found, np.int64)


def _program(profile: Profile) -> str:
    """The path of what was started first."""
    executables = profile.recording.processes.exe
    return executables[0] if len(executables) else ""


def _python_versions(recording: Recording) -> list[int]:
    versions: list[int] = np.unique(recording.codes.python_version).tolist()
    return [version for version in versions if version]


def _differ(versions: list[list[int]], bound: int) -> bool:
    """Whether one recording is of older Pythons than ``bound``, and the other has a newer one."""
    return len(versions) == 2 and any(
        min(one) < bound <= max(other) for one, other in (versions, versions[::-1])
    )


def _build_ids(recording: Recording) -> dict[str, set[str]]:
    """The build ids of each object, by its path."""
    found: dict[str, set[str]] = defaultdict(set)
    modules = recording.modules
    for row in range(len(modules)):
        if modules.build_id[row]:
            found[modules.path[row]].add(modules.build_id[row])
    return found
