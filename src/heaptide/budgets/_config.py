"""Budgets from heaptide.toml or pyproject.toml, checked key by key.

[tool.heaptide.budgets]                        # in heaptide.toml: [budgets]
preset = "guide"
peak_heap = "300 MB"
modules = { numpy = "40 %" }                   # of the peak, or an amount

[tool.heaptide.budgets.programs.worker]        # by the name of the program
peak_heap = "1 GB"

[tool.heaptide.budgets.phases.serving]         # from the mark of that name to the next one
growth = "1 MB/h"
"""

from __future__ import annotations

import difflib
import posixpath
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from heaptide.errors import UsageError

from ._limits import BYTES, RATIO, Limit, parse_limit
from ._presets import PRESETS
from ._units import UNITS

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

# The tables that the table of budgets may hold: of a file, of a program, of a phase.
_OF_FILE = ("programs", "phases", "modules")
_OF_PROGRAM = ("phases", "modules")
_OF_PHASE = ("modules",)
_MODULE = "modules."
_FILES = ("heaptide.toml", "pyproject.toml")


@dataclass(frozen=True)
class Budgets:
    """Limits by the names of measures; of modules, and of phases with limits of their own.

    ``source``: the file they are from, or what else said so, for messages.
    """

    limits: dict[str, Limit] = field(default_factory=dict)
    modules: dict[str, Limit] = field(default_factory=dict)
    phases: dict[str, Budgets] = field(default_factory=dict)
    source: str = ""

    def __bool__(self) -> bool:
        return bool(self.limits or self.modules or any(self.phases.values()))

    def over(self, other: Budgets) -> Budgets:
        """These, and of ``other`` what these do not say."""
        phases = dict(other.phases)
        for name, one in self.phases.items():
            phases[name] = one.over(phases[name]) if name in phases else one
        return Budgets(
            {**other.limits, **self.limits},
            {**other.modules, **self.modules},
            phases,
            " and ".join(dict.fromkeys(filter(None, (self.source, other.source)))),
        )


@dataclass(frozen=True)
class Project:
    """The budgets of a file: those of all programs, and by a program's name its own over them."""

    of_all: Budgets
    programs: dict[str, Budgets]
    source: str

    def of(self, program: str) -> Budgets:
        return self.programs.get(program, self.of_all)

    def __bool__(self) -> bool:
        return bool(self.of_all) or any(self.programs.values())


def find_budgets(directory: Path) -> Project | None:
    """Those of the nearest heaptide.toml or pyproject.toml with budgets in it, upwards of
    ``directory``.

    Raises UsageError for a file that cannot be understood.
    """
    for folder in (directory, *directory.parents):
        for name in _FILES:
            if (folder / name).is_file():
                reading = _Reading(folder / name)
                if reading.root:
                    return reading.project()
    return None


def load_budgets(path: Path) -> Project:
    """The budgets of a file. Raises UsageError, naming the file, the line and the key."""
    reading = _Reading(path)
    if not reading.root:
        raise UsageError(f"{path} has no budgets: they stand in [{'.'.join(_root(path))}]")
    return reading.project()


def from_options(options: Iterable[str], presets: Iterable[str] = ()) -> Budgets:
    """Of ``NAME=LIMIT`` on the command line, and presets by name. Raises UsageError."""
    found = Budgets()
    for preset in presets:
        found = found.over(_preset(preset))
    limits: dict[str, Limit] = {}
    modules: dict[str, Limit] = {}
    for option in options:
        name, equals, text = option.partition("=")
        name = name.strip()
        if not equals:
            raise UsageError(f"{option!r} is no budget: say NAME=LIMIT, as in peak_heap=256MB")
        module = name[len(_MODULE) :] if name.startswith(_MODULE) else ""
        name = name if module else name.replace("-", "_")
        if not module and name not in UNITS:
            raise UsageError(f"there is no budget {name!r}{_meant(name, UNITS)}")
        try:
            if module:
                modules[module] = _share(text.strip())
            else:
                limits[name] = parse_limit(text, UNITS[name])
        except ValueError as error:
            raise UsageError(f"the budget {name}: {error}") from None
    given = bool(limits or modules)
    return Budgets(limits, modules, source="the command line" if given else "").over(found)


def _share(written: object) -> Limit:
    """Of a module: a part of the peak, or bytes; text says by its unit which."""
    if isinstance(written, str):
        if not re.search(r"[A-Za-z%]\s*$", written):
            raise ValueError(f'{written!r} is no limit: say "40 %" or "10 MB"')
        return parse_limit(written, RATIO if "%" in written else BYTES)
    return parse_limit(written, RATIO if isinstance(written, float) else BYTES)


def _preset(name: str) -> Budgets:
    if name not in PRESETS:
        raise UsageError(f"there is no preset {name!r}; there is {', '.join(PRESETS)}")
    limits = {key: parse_limit(written, UNITS[key]) for key, written in PRESETS[name].items()}
    return Budgets(limits, source=f"the preset {name}")


def program_of(words: list[str]) -> str:
    """What a command is called in budgets: the script, the module, or the executable."""
    if not words:
        return ""
    name = posixpath.basename(words[0])
    if not re.fullmatch(r"python[\d.]*", name):
        return name[:-3] if name.endswith(".py") else name
    rest = iter(words[1:])
    for word in rest:
        if not word.startswith("-"):
            script = posixpath.basename(word)
            return script[:-3] if script.endswith(".py") else script
        flags = "" if word.startswith("--") else word[1:]
        for place, flag in enumerate(flags):
            value = flags[place + 1 :]
            if flag in "mc":
                return (value or next(rest, name)) if flag == "m" else name
            if flag in "XW":
                if not value:
                    next(rest, None)
                break
    return name


def _root(path: Path) -> tuple[str, ...]:
    return ("tool", "heaptide", "budgets") if path.name == "pyproject.toml" else ("budgets",)


class _Reading:
    """Tables of one file, and what is wrong with them.

    ``root``: the table of budgets; empty where there is none. Raises UsageError: for a file that
    cannot be read, for what is beside that table, or where it should be.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._text = path.read_text(encoding="utf-8")
            found: Any = tomllib.loads(self._text)
        except OSError as error:
            raise UsageError(f"{path} cannot be read: {error.strerror or error}") from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
            raise UsageError(f"{path} is no TOML: {error}") from None
        keys = _root(path)
        for depth, key in enumerate(keys):
            strangers = [name for name in found if name != key] if key == keys[-1] else []
            if strangers:
                raise UsageError(
                    f"{path}: {'.'.join((*keys[:depth], strangers[0]))}: there is no such table; "
                    f"budgets stand in [{'.'.join(keys)}]"
                )
            found = found.get(key, {})
            if not isinstance(found, dict):
                raise UsageError(f"{path}: {'.'.join(keys[: depth + 1])}: it has to be a table")
        self.root: dict[str, Any] = found

    def project(self) -> Project:
        of_all = self.budgets(self.root, (), _OF_FILE)
        programs = {
            name: self.budgets(own, ("programs", name), _OF_PROGRAM).over(of_all)
            for name, own in self.tables(self.root, "programs", ())
        }
        return Project(of_all, programs, str(self._path))

    def budgets(
        self, table: Mapping[str, Any], where: tuple[str, ...], tables: tuple[str, ...]
    ) -> Budgets:
        limits: dict[str, Limit] = {}
        known = (*UNITS, *tables, "preset")
        for key, written in table.items():
            if key in UNITS:
                limits[key] = self._limit(written, UNITS[key], (*where, key))
            elif key not in known:
                raise self.wrong((*where, key), f"there is no such budget{_meant(key, known)}")
        modules = {
            name: self._limit(written, "", (*where, "modules", name))
            for name, written in self.table(table, "modules", where).items()
        }
        phases = {}
        for name, own in self.tables(table, "phases", where):
            if not name:
                raise self.wrong((*where, "phases", name), "a phase has the name of a mark")
            phases[name] = self.budgets(own, (*where, "phases", name), _OF_PHASE)
        found = Budgets(limits, modules, phases, str(self._path))
        preset = table.get("preset")
        if preset is None:
            return found
        if not isinstance(preset, str) or preset not in PRESETS:
            raise self.wrong(
                (*where, "preset"), f"there is no preset {preset!r}; there is {', '.join(PRESETS)}"
            )
        return found.over(_preset(preset))

    def table(self, table: Mapping[str, Any], key: str, where: tuple[str, ...]) -> dict[str, Any]:
        found = table.get(key, {})
        if not isinstance(found, dict):
            raise self.wrong((*where, key), "it has to be a table")
        return found

    def tables(
        self, table: Mapping[str, Any], key: str, where: tuple[str, ...]
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        """A table of tables of budgets, by their names."""
        for name, own in self.table(table, key, where).items():
            if not isinstance(own, dict):
                raise self.wrong((*where, key, name), "it has to be a table of budgets")
            yield name, own

    def _limit(self, written: object, unit: str, where: tuple[str, ...]) -> Limit:
        try:
            return parse_limit(written, unit) if unit else _share(written)
        except ValueError as error:
            raise self.wrong(where, str(error)) from None

    def wrong(self, key: tuple[str, ...], reason: str) -> UsageError:
        """The error for a key, with its line if that can be told."""
        path = (*_root(self._path), *key)
        line = _line_of(path, self._text)
        at = f", line {line}" if line else ""
        return UsageError(f"{self._path}{at}: {'.'.join(path)}: {reason}")


def _line_of(path: tuple[str, ...], text: str) -> int:
    """The line that a key stands in, or the nearest table around it; 0: in none."""
    found = depth = 0
    table: tuple[str, ...] = ()
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        if stripped.startswith("["):
            here = table = _keys(stripped.partition("#")[0])
        elif "=" in stripped and not stripped.startswith("#"):
            here = (*table, *_keys(stripped.partition("=")[0] + "= 0"))
        else:
            continue
        known = min(len(here), len(path))
        if known > depth and path[:known] == here[:known]:
            found, depth = number, known
    return found


def _keys(line: str) -> tuple[str, ...]:
    """``a."b".c = 0`` or ``[a."b".c]`` in parts; none, if it is something else."""
    try:
        parsed: Any = tomllib.loads(line)
    except tomllib.TOMLDecodeError:
        return ()
    keys = []
    while isinstance(parsed, dict) and len(parsed) == 1:
        [(key, parsed)] = parsed.items()
        keys.append(key)
    return tuple(keys)


def _meant(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(known), 1)
    return f"; {close[0]} is meant?" if close else f"; there are {', '.join(UNITS)}"
