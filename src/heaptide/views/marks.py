"""Moments that the program gave a name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from . import units

if TYPE_CHECKING:
    from heaptide.profile import Profile

MOST: Final = 1000  # a program may set one in every turn of a loop
_NAMED: Final = 8


@dataclass(frozen=True)
class Mark:
    name: str
    seconds: float  # since the recording's start
    pid: int


def marks_of(profile: Profile) -> list[Mark]:
    """The first ``MOST`` marks of the chosen processes, by time."""
    recording = profile.recording
    table, wanted = recording.marks, profile.processes
    found = []
    for row in table.time.argsort(kind="stable").tolist():
        process = int(table.process[row])
        known = 0 <= process < len(recording.processes)
        if known and (wanted is None or process in wanted):
            pid = int(recording.processes.pid[process])
            found.append(Mark(table.name[row], int(table.time[row]) / 1e9, pid))
            if len(found) == MOST:
                break
    return found


def in_words(marks: list[Mark]) -> str:
    """``serving at 1.2 s, shutdown at 5 s``: the first few names, each once."""
    first: dict[str, float] = {}
    for mark in marks:
        first.setdefault(mark.name, mark.seconds)
    named = [f"{name} at {units.duration(at)}" for name, at in list(first.items())[:_NAMED]]
    left = len(first) - len(named)
    return ", ".join(named) + (f" and {left} more" if left else "")
