"""The command line of ``heaptide bench``, checked before anything runs."""

from __future__ import annotations

import math
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from heaptide.errors import OutputError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from heaptide.bench import Side


@dataclass(frozen=True)
class Asked:
    """What the command line says, by the names of its options."""

    words: tuple[str, ...]
    base: str | None
    base_rev: str | None
    setup: str | None
    compare: Path | None
    runs: int
    warmup: int
    relative: str
    mads: float
    metrics: tuple[str, ...]
    budgets: tuple[str, ...]
    sample: int | None
    no_recording: bool
    changes: tuple[str, ...]
    ignore_status: bool
    show_output: bool
    output: Path | None
    as_json: bool
    markdown: str | None
    save: Path | None

    def __post_init__(self) -> None:
        """Raises UsageError for what makes no sense together."""
        if not any(self.words[:1]):
            raise UsageError("name the command behind --")
        _exclude({"--base": self.base, "--base-rev": self.base_rev, "--compare": self.compare})
        _exclude({"--json": self.as_json, "--markdown without a file": self.markdown == "-"})
        _exclude({"--no-recording": self.no_recording, "-o": self.output})
        _exclude({"--no-recording": self.no_recording, "--sample": self.sample})
        if self.setup is not None and self.base_rev is None:
            raise UsageError("--setup is for the trees of --base-rev: run it before, otherwise")

    @property
    def out(self) -> IO[str] | int | None:
        """Where what the programs print goes: JSON and Markdown are alone on standard output."""
        if not self.show_output:
            return subprocess.DEVNULL
        return sys.stderr if self.as_json or self.markdown == "-" else None

    @property
    def markdown_file(self) -> Path | None:
        return None if self.markdown in (None, "-") else Path(str(self.markdown))


def _exclude(options: dict[str, object]) -> None:
    """Raises UsageError: more than one of them is given, by its name."""
    given = [name for name, value in options.items() if value not in (None, False)]
    if len(given) > 1:
        raise UsageError(f"{' and '.join(given)} exclude each other")


def base_words(text: str) -> tuple[str, ...]:
    try:
        words = tuple(shlex.split(text))
    except ValueError as error:
        raise UsageError(f"--base {text!r} cannot be read as a shell does: {error}") from None
    if not words:
        raise UsageError("--base needs a command, as in --base './prog.old 1000'")
    return words


def environment_changes(options: tuple[str, ...]) -> dict[str, str]:
    """Of the environment."""
    found = {}
    for option in options:
        name, equals, value = option.partition("=")
        if not name or not equals:
            raise UsageError(f"--env {option!r}: say NAME=VALUE")
        found[name] = value
    return found


def relative_part(text: str) -> float:
    from heaptide.budgets import parse_limit

    try:
        return parse_limit(text, "ratio").value
    except ValueError:
        raise UsageError(f'--relative {text!r}: say "5%" or 0.05') from None


def deviations(number: float) -> float:
    if not (math.isfinite(number) and number >= 0):
        raise UsageError(f"--mads {number}: say a number from 0 on, as 3")
    return number


def places(asked: Asked, sides: Iterable[Side]) -> dict[str, Path]:
    """Where recordings are to stay, by side. Raises before anything runs that would be in vain."""
    for file in (asked.save, asked.markdown_file):
        if file is not None and (file.is_dir() or not file.parent.is_dir()):
            raise OutputError(f"{file} cannot be written; choose another place")
    if asked.output is None:
        return {}
    try:
        asked.output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"{asked.output} cannot be created: {error.strerror}; choose another place"
        ) from None
    found = {side.name: asked.output / f"{side.name}.tide" for side in sides}
    for path in found.values():
        if path.exists():
            raise UsageError(f"{path} exists; choose another directory")
    return found
