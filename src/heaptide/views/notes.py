"""What a person should know before trusting a recording's figures, a line each."""

from __future__ import annotations

import posixpath
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from heaptide._printable import shell_word
from heaptide.profile import METRICS
from heaptide.profile.known import extra_metrics, known_metrics
from heaptide.profile.origin import Origin

from . import units

if TYPE_CHECKING:
    from heaptide.profile import Profile
    from heaptide.recording import Processes, Recording

# Numbers of native/wire/wire.h, as docs/format.md stores them.
_PYTHON_UNSUPPORTED, _PYTHON_SELFTEST = 2, 3
_STATIC_ALLOCATOR = 5
_OFF_REASONS = {
    2: "the collector ended or was killed",
    3: "there were too many processes",
    4: "there was no memory left",
    6: "it put itself into a seccomp sandbox, which could kill it for the recorder's system calls",
}
_END_REASONS = {
    "duration": "the recording was stopped after its --duration",
    "max-size": "the recording was stopped at its --max-size",
    "disk-full": "the disk was full: the recording ends where the space did",
    "error": "the recorder failed: the recording ends there",
    "stopped": "the recording was stopped before the program ended",
}
_UNRESOLVED_WORTH = 0.01  # part of the allocations without a name that is worth a line


@dataclass(frozen=True)
class Note:
    level: str  # "warning": figures are incomplete or inexact; "note": good to know
    text: str
    pid: int | None = None
    seconds: float | None = None


def exited(recording: Recording) -> bool:
    """Whether the recording lasted to the end of its programs."""
    return recording.end is not None and recording.end.reason == "finished"


def notes(profile: Profile) -> list[Note]:
    """All notes on ``profile``, warnings first."""
    recording = profile.recording
    recorded = _recorded(profile)
    found = [
        *(Note("warning", text) for text in recording.warnings),
        *_about_the_source(recording),
        *_about_the_end(recording),
        *_about_processes(profile, [note.text for note in recorded]),
        *recorded,
        *_advice(recording),
    ]
    found += _about_names(profile, [note.text for note in found])
    if not int(profile.totals.any()) and not len(recording.extras):
        found.append(Note("warning", _why_nothing(profile)))
    return sorted(found, key=lambda note: note.level != "warning")


def _why_nothing(profile: Profile) -> str:
    """The most likely reason why there are no figures at all."""
    recording = profile.recording
    if any(getattr(recording.totals, name).any() for name in ("blocks_in", "reallocations")):
        return "nothing is in what was selected: the rest of the recording has allocations"
    if recording.warnings:
        return "no allocation is in the part of the file that can be read"
    if recording.end is None:
        return "no allocation was recorded before the last checkpoint"
    return (
        "no allocation was recorded: a statically linked program, or one that ended at once or "
        "before its --start-after, makes none that can be seen"
    )


_MANY = 6  # figures that an imported file lacks: more are not listed

# What each figure, or table, is called in sentences; those that go together by one name.
_LACKING = {
    "peak_bytes": "the peak",
    "alive_at_exit_bytes": "what was alive at the end",
    "total_bytes": "what was allocated in total",
    "allocations": "the number of allocations",
    "reallocations": "reallocations",
    "temporary_allocations": "temporary allocations",
    "short_lived_allocations": "short-lived allocations",
    "lifetimes": "lifetimes",
    "sizes": "sizes of blocks",
    "threads": "threads",
    "time": "what happened when",
}


def _about_the_source(recording: Recording) -> list[Note]:
    """Of an imported recording: what its format does not tell."""
    if not recording.source:
        return []
    text = f"this is {recording.source.get('title', 'an imported file')}"
    lacking = [words for name, words in _LACKING.items() if name in recording.lacks]
    own = extra_metrics(recording)
    if len(lacking) > _MANY:
        known = [one.words for one in known_metrics(recording) if one.name in METRICS]
        known = known or [one.words for one in own]
        text += f", which tells {_joined(known, 'and')}, and little else"
    elif lacking:
        text += f", which does not tell {_joined(lacking, 'or')}"
    found = [Note("note", text)]
    if own:
        names = ", ".join(one.name for one in own)
        found.append(Note("note", f"it has figures of its own: --metric {names}"))
    return found


def _joined(words: list[str], conjunction: str) -> str:
    return f" {conjunction} ".join(
        filter(None, (", ".join(words[:-1]), words[-1] if words else "nothing"))
    )


def _advice(recording: Recording) -> list[Note]:
    """What the search for symbols had to say: a line for each program that hides its names."""
    lines = recording.meta.get("advice", [])
    if not isinstance(lines, list):
        return []
    again = "open it again" if recording.source else ""
    return [
        Note("note", line.replace("run heaptide symbolize", again) if again else line)
        for line in lines
        if isinstance(line, str)
    ]


def _about_the_end(recording: Recording) -> list[Note]:
    found = []
    if recording.end is None and not recording.finished:
        text = "the recording has no end: its recorder was killed or still runs"
        found.append(Note("warning", text + "; figures are as of its last checkpoint"))
    elif recording.end is not None and recording.end.reason in _END_REASONS:
        reason = recording.end.reason
        level = "warning" if reason in ("disk-full", "error") else "note"
        found.append(Note(level, _END_REASONS[reason]))
    known = "peak_bytes" not in recording.lacks
    if known and not recording.summary.peak_exact and recording.summary.peak_bytes:
        text = "the peak's exact composition was lost; shown is the highest moment that was kept"
        found.append(Note("warning", text))
    interval = recording.sample_interval
    if interval:
        every = units.binary_size(interval)
        found.append(Note("note", f"figures are estimates from one sample every {every} or so"))
    return found


@dataclass(frozen=True)
class _Check:
    """Something a process's row tells: how much of it, and what that means."""

    level: str
    amount: Callable[[Processes, int], int]
    says: Callable[[int], str]  # of the sum over the processes of one program


# The recorder mostly says which allocator, and why.
_LINKED_IN = _Check(
    "warning",
    lambda table, row: int(table.allocator[row]) == _STATIC_ALLOCATOR,
    lambda _: (
        "an allocator is linked into it, whose calls cannot be seen: build it with the "
        "system's allocator, or with the allocator as a shared library"
    ),
)
_LINKED_INTO = " is linked into "  # native/agent/statics.c


def _explained(program: str, said: list[str]) -> bool:
    return any(_LINKED_INTO + program in text for text in said)


def _turned_off(number: int, why: str) -> _Check:
    return _Check(
        "warning",
        lambda table, row: int(table.off_reason[row]) == number,
        lambda _: f"not recorded to its end: {why}",
    )


_CHECKS = (
    _Check(
        "warning",
        lambda table, row: int(table.lost_events[row]),
        lambda n: f"{units.some(n, 'event was', 'events were')} lost: figures are too low",
    ),
    _Check(
        "warning",
        lambda table, row: int(table.python_status[row]) == _PYTHON_UNSUPPORTED,
        lambda _: "Python frames and objects are missing: this version of Python is not supported",
    ),
    _Check(
        "warning",
        lambda table, row: int(table.python_status[row]) == _PYTHON_SELFTEST,
        lambda _: (
            "Python frames and objects are missing: this Python is laid out in an unknown way"
        ),
    ),
    _LINKED_IN,
    *(_turned_off(number, why) for number, why in _OFF_REASONS.items()),
    _Check(
        "note",
        lambda table, row: int(table.truncated[row]),
        lambda n: (
            f"{units.some(n, 'native stack', 'native stacks')} could not be followed to the "
            "outermost frame"
        ),
    ),
    _Check(
        "note",
        lambda table, row: int(table.wait_ns[row]) // 10**8 * 10**8,
        lambda n: (
            f"its threads waited {units.duration(n / 1e9)} in all for the recorder to keep up: "
            "that time is the recording's, not the program's. Figures are whole; with "
            "--sample 512KiB they wait less"
        ),
    ),
)


def _about_processes(profile: Profile, said: list[str]) -> list[Note]:
    """One note for each thing that is so of a program, however many processes ran it.

    ``said``: what the recorder noted.
    """
    table = profile.recording.processes
    rows = range(len(table)) if profile.processes is None else profile.processes
    programs: dict[str, list[int]] = {}
    for row in rows:
        programs.setdefault(posixpath.basename(table.exe[row]) or "?", []).append(row)
    found = []
    for program, ran in programs.items():
        for check in _CHECKS:
            amounts = {row: check.amount(table, row) for row in ran}
            pids = sorted({int(table.pid[row]) for row, amount in amounts.items() if amount})
            if not pids or (check is _LINKED_IN and _explained(program, said)):
                continue
            who = (
                f"{program} ({pids[0]})" if len(pids) == 1 else f"{program} ({len(pids)} processes)"
            )
            text = f"{who}: {check.says(sum(amounts.values()))}"
            found.append(Note(check.level, text, pids[0] if len(pids) == 1 else None))
    return found


def _recorded(profile: Profile) -> list[Note]:
    """The notes that the recorder took."""
    table, processes = profile.recording.notes, profile.recording.processes
    found = []
    for row in range(len(table)):
        process = int(table.process[row])
        if profile.processes is not None and process >= 0 and process not in profile.processes:
            continue
        pid = int(processes.pid[process]) if 0 <= process < len(processes) else None
        text = table.text[row]
        level = "warning" if _LINKED_INTO in text else "note"
        found.append(Note(level, text, pid, int(table.time[row]) / 1e9))
    return found


def _about_names(profile: Profile, said: list[str]) -> list[Note]:
    """Own modules whose functions have no names, and how to get them."""
    recording, locations = profile.recording, profile.locations
    nameless = ~locations.resolved & (locations.origin == Origin.OWN)
    sites = profile.context_site
    hit = nameless[sites]
    calls = profile.figures[:, 5] + profile.figures[:, 6]
    everything = int(calls.sum())
    if not everything or not hit.any():
        return []
    if recording.symbols is None:
        text = f"functions have no names yet: heaptide symbolize {shell_word(recording.path)}"
        return [Note("note", text)]
    modules = locations.module[sites[hit]]
    found = []
    for module in np.unique(modules).tolist():
        part = int(calls[hit][modules == module].sum()) / everything
        name = posixpath.basename(locations.texts[module])
        # The recorder says this too when it finds a stripped binary.
        if part < _UNRESOLVED_WORTH or not name or any(name in text for text in said):
            continue
        text = (
            f"{name} has no symbols ({units.percent(part)} of all allocations): keep them "
            '(C, C++: compile with -g, do not strip; Cargo: in its profile, strip = "none" and '
            "debug = 1), or install its debug symbols"
        )
        found.append(Note("note", text))
    return found
