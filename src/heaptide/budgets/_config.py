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
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from heaptide.errors import UsageError

from ._limits import BYTES, RATIO, Limit, parse_limit
from ._measures import MEASURES
from ._presets import PRESETS

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

# The tables that the table of budgets may hold: of a file, of a program, of a phase.
_OF_FILE = ("programs", "phases", "modules")
_OF_PROGRAM = ("phases", "modules")
_OF_PHASE = ("modules",)
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


def find_file(directory: Path) -> Path | None:
    """The nearest heaptide.toml, or pyproject.toml with budgets in it, upwards of ``directory``."""
    for folder in (directory, *directory.parents):
        for name in _FILES:
            path = folder / name
            if path.is_file() and (name != "pyproject.toml" or _table(path, _parsed(path))):
                return path
    return None


def load_budgets(path: Path, program: str = "") -> Budgets:
    """The budgets of a file for ``program``, the name of what was run.

    Raises UsageError, naming the file, the line and the key.
    """
    table = _table(path, _parsed(path))
    reading = _Reading(path)
    programs = reading.table(table, "programs", ())
    found = reading.budgets(table, (), _OF_FILE)
    for name, own in programs.items():
        if not isinstance(own, dict):
            raise reading.wrong(("programs", name), "it has to be a table of budgets")
        special = reading.budgets(own, ("programs", name), _OF_PROGRAM)
        if name == program:
            found = special.over(found)
    return found


def from_options(options: Iterable[str], presets: Iterable[str] = ()) -> Budgets:
    """Of ``NAME=LIMIT`` on the command line, and presets by name. Raises UsageError."""
    found = Budgets()
    for preset in presets:
        found = found.over(_preset(preset))
    limits: dict[str, Limit] = {}
    for option in options:
        name, equals, text = option.partition("=")
        name = name.strip().replace("-", "_")
        if not equals:
            raise UsageError(f"{option!r} is no budget: say NAME=LIMIT, as in peak_heap=256MB")
        if name not in MEASURES:
            raise UsageError(f"there is no budget {name!r}{_meant(name, MEASURES)}")
        try:
            limits[name] = parse_limit(text, MEASURES[name].unit)
        except ValueError as error:
            raise UsageError(f"the budget {name}: {error}") from None
    return Budgets(limits, source="the command line" if limits else "").over(found)


def _preset(name: str) -> Budgets:
    if name not in PRESETS:
        raise UsageError(f"there is no preset {name!r}; there is {', '.join(PRESETS)}")
    limits = {
        key: parse_limit(written, MEASURES[key].unit) for key, written in PRESETS[name].items()
    }
    return Budgets(limits, source=f"the preset {name}")


def program_of(words: list[str]) -> str:
    """What a command is called in budgets: the script, the module, or the executable."""
    plain = [posixpath.basename(word) for word in words[:1]]
    if plain and re.fullmatch(r"python[\d.]*", plain[0]):
        rest = words[1:]
        if rest[:1] == ["-m"] and len(rest) > 1:
            return rest[1]
        if rest and not rest[0].startswith("-"):
            return posixpath.basename(rest[0]).removesuffix(".py")
    return plain[0].removesuffix(".py") if plain else ""


def _parsed(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is no TOML: {error}") from None


def _table(path: Path, document: Mapping[str, Any]) -> dict[str, Any]:
    """The table of budgets; empty where there is none."""
    found: Any = document
    for key in _root(path):
        found = found.get(key, {}) if isinstance(found, dict) else {}
    return found if isinstance(found, dict) else {}


def _root(path: Path) -> tuple[str, ...]:
    return ("tool", "heaptide", "budgets") if path.name == "pyproject.toml" else ("budgets",)


class _Reading:
    """Tables of one file, and what is wrong with them."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def budgets(
        self, table: Mapping[str, Any], where: tuple[str, ...], tables: tuple[str, ...]
    ) -> Budgets:
        limits: dict[str, Limit] = {}
        known = (*MEASURES, *tables, "preset")
        for key, written in table.items():
            if key in MEASURES:
                limits[key] = self._limit(written, MEASURES[key].unit, (*where, key))
            elif key not in known:
                raise self.wrong((*where, key), f"there is no such budget{_meant(key, known)}")
        modules = {
            name: self._share(written, (*where, "modules", name))
            for name, written in self.table(table, "modules", where).items()
        }
        phases = {}
        for name, own in self.table(table, "phases", where).items():
            if not isinstance(own, dict):
                raise self.wrong((*where, "phases", name), "it has to be a table of budgets")
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

    def _share(self, written: object, where: tuple[str, ...]) -> Limit:
        """A part of the peak, or bytes: told apart by the unit."""
        unit = RATIO if isinstance(written, float) or "%" in str(written) else BYTES
        return self._limit(written, unit, where)

    def _limit(self, written: object, unit: str, where: tuple[str, ...]) -> Limit:
        try:
            return parse_limit(written, unit)
        except ValueError as error:
            raise self.wrong(where, str(error)) from None

    def wrong(self, key: tuple[str, ...], reason: str) -> UsageError:
        """The error for a key, at the line that it is likely to stand in."""
        dotted = ".".join((*_root(self._path), *key))
        line = self._line(key[-1])
        at = f", line {line}" if line else ""
        return UsageError(f"{self._path}{at}: {dotted}: {reason}")

    def _line(self, key: str) -> int:
        name = rf"\"?{re.escape(key)}\"?"
        pattern = re.compile(rf"^\s*{name}\s*=|^\s*\[.*\b{name}\s*\]|[{{,]\s*{name}\s*=")
        for number, line in enumerate(self._path.read_text(encoding="utf-8").splitlines(), 1):
            if pattern.search(line):
                return number
        return 0


def _meant(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(known), 1)
    return f"; {close[0]} is meant?" if close else f"; there are {', '.join(MEASURES)}"
