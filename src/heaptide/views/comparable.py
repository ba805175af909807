"""What a person should know before comparing two recordings, a line each."""

from __future__ import annotations

import math
import posixpath
from typing import TYPE_CHECKING, Any

import numpy as np

from heaptide._printable import shell_word
from heaptide.profile.origin import Origin
from heaptide.recording import FrameKind

from . import units
from .console import display_path
from .notes import Note

if TYPE_CHECKING:
    from heaptide.profile import Profile, Summary
    from heaptide.profile.shared import Shared
    from heaptide.recording import Recording

_FACTOR = 1.25  # in length and in work: beyond that, what adds up over time says little
_WORK_FACTOR = 2.0  # in allocations alone: an edit may make them too
_LONG_SECONDS = 1.0  # shorter runs differ by as much for no reason
_DEVIATIONS = 2.0  # of an estimate: what differs by less may be chance, in 19 of 20 cases
_MOST_MODULES = 3

# Settings that decide what is recorded at all, and how they are called.
_SETTINGS = {
    "python_objects": "Python objects",
    "native": "native frames",
    "usable_size": "usable sizes",
    "follow": "children",
}

Summaries = tuple["Summary", "Summary"]


def caveats(shared: Shared, summaries: Summaries) -> list[Note]:
    """Reasons why figures of the two may differ although the program did the same.

    Warnings first. ``summaries``: of ``shared.profiles``, the older one first.
    """
    recordings = shared.profiles[0].recording, shared.profiles[1].recording
    found = [
        *_about_settings(recordings),
        *_about_samples(recordings, summaries),
        *_about_ends(recordings),
        *_about_order(recordings),
        *_about_length(summaries),
        *_about_names(shared),
    ]
    return sorted(found, key=lambda note: note.level != "warning")


def _about_settings(recordings: tuple[Recording, Recording]) -> list[Note]:
    configs = [_config(recording) for recording in recordings]
    found = []
    for name, words in _SETTINGS.items():
        values = [config.get(name) for config in configs]
        if None not in values and values[0] != values[1]:
            found.append(
                Note(
                    "warning",
                    f"they were recorded differently ({words}: {_said(values[0])}, then "
                    f"{_said(values[1])}): record both in the same way",
                )
            )
    return found


def _config(recording: Recording) -> dict[str, Any]:
    config = recording.meta.get("config")
    return config if isinstance(config, dict) else {}


def _said(value: object) -> str:
    return ("no", "yes")[value] if isinstance(value, bool) else str(value)


def _about_samples(recordings: tuple[Recording, Recording], summaries: Summaries) -> list[Note]:
    """An estimate of X bytes from one sample every I has the variance X * I (Poisson)."""
    intervals = [recording.sample_interval for recording in recordings]
    if not any(intervals):
        return []
    found = []
    if intervals[0] != intervals[1]:
        said = [f"one sample every {units.binary_size(n)}" if n else "all" for n in intervals]
        text = f"they were sampled differently ({said[0]}, then {said[1]}): functions that seldom "
        found.append(Note("warning", text + "allocate may be new or gone by chance"))
    variance = sum(s.peak_bytes * n for s, n in zip(summaries, intervals))
    chance = units.size(round(_DEVIATIONS * math.sqrt(variance)))
    text = f"figures are estimates from samples: at the peak, a difference below {chance} may be "
    found.append(Note("note", text + "chance; of functions that hold less, a smaller one"))
    return found


def _about_ends(recordings: tuple[Recording, Recording]) -> list[Note]:
    return [
        Note(
            "warning",
            f"{display_path(recording.path)} is not complete, its figures are as of where it ends",
        )
        for recording in recordings
        if recording.end is None or not recording.finished or recording.truncated_at is not None
    ]


def _about_order(recordings: tuple[Recording, Recording]) -> list[Note]:
    old, new = (recording.meta.get("start_time") for recording in recordings)
    if not isinstance(old, (int, float)) or not isinstance(new, (int, float)) or old <= new:
        return []
    text = "what is given as the older recording was made after the other: was that meant?"
    return [Note("note", text)]


def _about_length(summaries: Summaries) -> list[Note]:
    """Of runs that did as much, totals can be compared, however long they took."""
    old, new = (summary.duration_seconds for summary in summaries)
    time, work = _ratio(old, new), _ratio(summaries[0].allocations, summaries[1].allocations)
    if max(old, new) >= _LONG_SECONDS and not _alike(time, _FACTOR) and not _alike(work, _FACTOR):
        text = f"the new run lasted {_times(time, 'as long')} and made "
        text += f"{_times(work, 'as many allocations')}: totals are not comparable, what is alive "
        return [Note("note", text + "and the peak are; --normalize time compares per second")]
    if not _alike(work, _WORK_FACTOR):
        text = f"the new run made {_times(work, 'as many allocations')}: if it also did more or "
        text += "less work, compare the peak and what is alive, or --metric total --normalize "
        return [Note("note", text + "allocations")]
    return []


def _ratio(old: float, new: float) -> float:
    """How many times ``old`` is ``new``; 1 where that cannot be said."""
    return new / old if old > 0 and new > 0 else 1.0


def _alike(ratio: float, factor: float) -> bool:
    return 1 / factor <= ratio <= factor


def _times(ratio: float, what: str) -> str:
    """``3.1 times as long``; below 1 ``0.31 times``."""
    return f"{ratio:,.{1 if ratio >= 1.05 else 2}f} times {what}"


def _about_names(shared: Shared) -> list[Note]:
    """What cannot match by its names, for one of the recordings lacks them."""
    found = []
    for profile in shared.profiles:
        if profile.recording.symbols is None and not profile.locations.resolved.all():
            path = display_path(profile.recording.path)
            text = f"native functions of {path} have no names yet, by which they match: heaptide "
            found.append(Note("warning", f"{text}symbolize {shell_word(path)}"))
    if found:
        return found
    named = [_named(profile, module) for profile, module in zip(shared.profiles, _modules(shared))]
    lacking = [
        (names[1], which)
        for number, names in named[0].items()
        if number in named[1]
        for which, has in (("new", names[0]), ("old", named[1][number][0]))
        if not has and named[0][number][0] != named[1][number][0]
    ]
    for path, has in sorted(lacking)[:_MOST_MODULES]:
        text = f"{posixpath.basename(path)} has symbols in the {has} recording only: its functions "
        found.append(Note("warning", text + "cannot match"))
    return found


def _modules(shared: Shared) -> tuple[Any, Any]:
    return shared.split(shared.module)


def _named(profile: Profile, module: Any) -> dict[int, tuple[bool, str]]:
    """For the user's own native modules, by number: whether any function has a name; the path."""
    at = profile.locations
    own = (at.kind == FrameKind.NATIVE) & (at.origin == Origin.OWN) & (at.module > 0)
    found = {}
    for number in np.unique(module[own]).tolist():
        rows = np.flatnonzero(own & (module == number))
        found[number] = (bool(at.resolved[rows].any()), at.texts[at.module[rows[0]]])
    return found
