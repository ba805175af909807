"""What the tests of a session share: defaults, the baseline, the recordings that are kept."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from heaptide._printable import shell_word
from heaptide.errors import HeaptideError
from heaptide.inside import Stack
from heaptide.testing._baseline import Baseline, Compared, Tolerance
from heaptide.testing._changes import changes
from heaptide.testing._isolate import recording_beside
from heaptide.testing._measures import SHOWN
from heaptide.testing._results import TestResult
from heaptide.testing._settings import Settings, with_options
from heaptide.testing._where import Listing

_GROWN = 3  # stacks


@dataclass(frozen=True)
class Kept:
    """Of recordings: what is said of them, and the stacks that grew, the most important first."""

    lines: Sequence[str] = ()
    stacks: Sequence[Stack] = ()


@dataclass
class Project:
    """``limits``: (folder, name, limit) as the project's configuration says; ``root``: what
    folders are below. ``updating``: the baseline is to be written anew."""

    root: Path
    baseline_path: Path
    recordings: Path
    defaults: Settings = field(default_factory=Settings)
    limits: list[tuple[str, str, str]] = field(default_factory=list)
    tolerance: Tolerance = field(default_factory=Tolerance)
    updating: bool = False
    all: bool = False
    isolated: Path | None = None  # where the process of one test puts its answer
    baseline_named: bool = False  # by the command line or the configuration
    arguments: tuple[str, ...] = ()  # of pytest, for processes of tests
    _baseline: Baseline | None = None

    @property
    def baseline(self) -> Baseline:
        """Raises UsageError: the file is no baseline."""
        if self._baseline is None:
            self._baseline = Baseline(self.baseline_path)
        return self._baseline

    def defaults_for(self, path: Path, own: Mapping[str, Any]) -> Settings:
        """Of a test in the file ``path``; ``own``: what its conftest files say."""
        said: dict[str, Any] = {}
        with contextlib.suppress(ValueError):
            relative = path.relative_to(self.root).as_posix()
            for folder, name, limit in sorted(self.limits, key=lambda one: len(one[0])):
                if not folder or relative == folder or relative.startswith(f"{folder}/"):
                    said[name] = limit
        return with_options(self.defaults, {**said, **own})

    def recording_of(self, test: str, settings: Settings) -> Path | None:
        """Where what a test is recorded into, if it may be needed: to be compared with."""
        if self.isolated is not None:
            return recording_beside(self.isolated)
        if not settings.baseline or not (self.updating or test in self.baseline):
            return None
        self.recordings.mkdir(parents=True, exist_ok=True)
        ignore = self.recordings / ".gitignore"
        if not ignore.exists():
            ignore.write_text("*\n")
        return self.recordings / f"{_file_name(test)}.{os.getpid()}.partial"

    def compare(self, result: TestResult, settings: Settings) -> Compared | None:
        """With the baseline; None: there is none, or it is being written."""
        if self.isolated is not None:  # who asked for it compares
            return None
        if not settings.baseline or self.updating or result.status == "error":
            return None
        if not len(self.baseline):
            return Compared("new") if self.baseline_named else None
        figures: dict[str, float] = {
            name: result.figures[name] for name in SHOWN if name in result.figures
        }
        return self.baseline.compare(result.test, figures, self.tolerance)

    def forget(self, tests: Iterable[str]) -> None:
        """They leave the baseline, and their recordings go."""
        for test in tests:
            self.baseline.forget(test)
            for path in (self._base(test), self._new(test)):
                path.unlink(missing_ok=True)

    def _base(self, test: str) -> Path:
        return self.recordings / f"{_file_name(test)}.base.tide"

    def _new(self, test: str) -> Path:
        return self.recordings / f"{_file_name(test)}.new.tide"

    def keep(self, path: Path, result: TestResult, higher: Collection[str]) -> Kept:
        """What has been recorded becomes the base, or stays beside it where a test has grown, by
        the measures that are ``higher``; else it goes."""
        if self.isolated is not None or not path.exists():
            return Kept()
        base, new = self._base(result.test), self._new(result.test)
        if self.updating and result.status == "ok":
            path.replace(base)
            return Kept()
        if result.baseline != "higher":
            path.unlink()
            return Kept()
        path.replace(new)
        if not base.exists():
            result.recordings = [os.fspath(new)]
            words = [
                "the recording is kept; the baseline's is not here (--memory-update makes it):",
                f"  heaptide open {shell_word(_relative(new))}",
            ]
        else:
            result.recordings = [os.fspath(base), os.fspath(new)]
            words = [
                "both recordings are kept:",
                f"  heaptide open {shell_word(_relative(base))} {shell_word(_relative(new))}",
            ]
        many = result.repeats > 1 or result.repetitions > 0 or bool(result.benchmark)
        found: list[Listing] = []
        with contextlib.suppress(HeaptideError):
            found = changes(base if base.exists() else None, new, higher, many=many)
        lines = [line for one in found for line in one.lines(_GROWN)]
        return Kept([*lines, *words], [stack for one in found for stack in one.stacks])


def _relative(path: Path) -> str:
    with contextlib.suppress(ValueError):
        return path.relative_to(Path.cwd()).as_posix()
    return os.fspath(path)


def _file_name(test: str) -> str:
    """A name for files about a test, unlike any other test's."""
    word = re.sub(r"[^\w.+-]+", "_", test.rpartition("/")[2])[:80].strip("_.")
    return f"{word}.{hashlib.sha256(test.encode()).hexdigest()[:8]}"
