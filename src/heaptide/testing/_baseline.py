"""Baselines: figures of tests in a file of the project, by test and by environment."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from heaptide.errors import OutputError, UsageError
from heaptide.testing._environment import environment, fingerprint
from heaptide.testing._measures import SHOWN
from heaptide.testing._results import plain

SCHEMA_VERSION: Final = 1

Entry = dict[str, float]


@dataclass(frozen=True)
class Growth:
    """How much more is too much: beyond ``part`` of the base and beyond ``amount`` as well."""

    part: float
    amount: float

    def exceeded(self, base: float, now: float) -> bool:
        return now - base > self.part * base and now - base > self.amount


@dataclass(frozen=True)
class Tolerance:
    """For figures of the same environment, and of another one; counts are calls."""

    same_bytes: Growth = Growth(0.001, 1000)
    same_counts: Growth = Growth(0.0, 0)
    other_bytes: Growth = Growth(0.05, 16_000)
    other_counts: Growth = Growth(0.05, 20)

    def of(self, name: str, *, same: bool) -> Growth:
        if name == "allocations":
            return self.same_counts if same else self.other_counts
        return self.same_bytes if same else self.other_bytes


@dataclass
class Compared:
    """``status``: same, higher, lower, or new: there is no base. ``exact``: of this environment."""

    status: str
    exact: bool = True
    base: Entry = field(default_factory=dict)
    higher: list[str] = field(default_factory=list)  # names of measures


class Baseline:
    """The file at ``path``; empty if there is none. Raises UsageError: it is no baseline."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._document: dict[str, Any] = {
            "schema_version": SCHEMA_VERSION,
            "environments": {},
            "tests": {},
        }
        if path.exists():
            self._document = _read(path)

    def __contains__(self, test: str) -> bool:
        return test in self._document["tests"]

    def __len__(self) -> int:
        return len(self._document["tests"])

    def compare(self, test: str, now: Mapping[str, float], tolerance: Tolerance) -> Compared:
        """Exactly with figures of this environment; with those of another, where there are only
        such, within its tolerance: the closest to now."""
        entries: dict[str, Entry] = self._document["tests"].get(test, {})
        if not entries:
            return Compared("new")
        own = fingerprint()
        exact = own in entries
        if exact:
            base = entries[own]
        else:
            base = min(
                entries.values(),
                key=lambda one: abs(one.get("allocations", 0) - now.get("allocations", 0)),
            )
        names: list[str] = [name for name in SHOWN if name in base and name in now]
        higher = [
            name for name in names if tolerance.of(name, same=exact).exceeded(base[name], now[name])
        ]
        lower = [
            name for name in names if tolerance.of(name, same=exact).exceeded(now[name], base[name])
        ]
        status = "higher" if higher else "lower" if lower else "same"
        return Compared(status, exact, dict(base), higher)

    def update(self, figures: Mapping[str, Mapping[str, float]]) -> int:
        """Takes over figures of this environment, by test; how many entries have changed.

        Raises OutputError: the file cannot be written.
        """
        own = fingerprint()
        changed = 0
        for test, found in figures.items():
            entry = {name: plain(found[name]) for name in SHOWN if name in found}
            entries = self._document["tests"].setdefault(test, {})
            changed += entries.get(own) != entry
            entries[own] = entry
        used = {name for entries in self._document["tests"].values() for name in entries}
        known = self._document["environments"]
        known[own] = environment()
        self._document["environments"] = {
            name: known[name] for name in sorted(known) if name in used
        }
        self._document["tests"] = dict(sorted(self._document["tests"].items()))
        self._write()
        return changed

    def __iter__(self) -> Iterator[str]:
        return iter(self._document["tests"])

    def forget(self, test: str) -> None:
        """All its figures, of whatever environment; in the file with the next ``update``."""
        del self._document["tests"][test]

    def _write(self) -> None:
        partial = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        try:
            partial.write_text(json.dumps(self._document, indent=1) + "\n", encoding="utf-8")
            partial.replace(self.path)
        except OSError as error:
            raise OutputError(
                f"{self.path} cannot be written: {error.strerror}; choose another place with "
                "--memory-baseline"
            ) from error


def _read(path: Path) -> dict[str, Any]:
    wrong = f"{path} is no baseline of memory"
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(
            f"{wrong}: {_why(error)}; remove it, and write it with --memory-update"
        ) from None
    if not isinstance(document, dict) or "schema_version" not in document:
        raise UsageError(f"{wrong}; remove it, and write it with --memory-update")
    if document["schema_version"] != SCHEMA_VERSION:
        raise UsageError(
            f"{path} is of version {document['schema_version']}, of which this heaptide knows "
            "nothing; update heaptide, or remove it, and write it with --memory-update"
        )
    if not _has_figures(document.get("tests")):
        raise UsageError(
            f"{wrong}: its tests have no figures; remove it, and write it with --memory-update"
        )
    document.setdefault("environments", {})
    return document


def _why(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def _has_figures(tests: object) -> bool:
    """By test and environment, figures by their names."""
    if not isinstance(tests, dict) or not all(isinstance(one, dict) for one in tests.values()):
        return False
    entries = [entry for one in tests.values() for entry in one.values()]
    return all(
        isinstance(entry, dict) and all(isinstance(value, (int, float)) for value in entry.values())
        for entry in entries
    )
