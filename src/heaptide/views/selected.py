"""What was selected, in words, and what a person should know of figures of a part."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from heaptide.profile import METRICS, size_words, summarize
from heaptide.profile.leaks import ended, windows
from heaptide.recording import SIZE_BOUNDS

from . import units
from .notes import Note

if TYPE_CHECKING:
    from heaptide.profile import Metric, Profile


def in_words(profile: Profile) -> list[str]:
    """A phrase for each thing that narrows the profile, processes aside; empty: nothing does."""
    chosen, found = profile.selection, []
    if profile.time is not None:
        start, end = (units.duration(t / 1e9) for t in (profile.time.start, profile.time.end))
        found.append(f"until {end}" if chosen.start is None else f"from {start} to {end}")
    if chosen.threads:
        found.append("threads like " + " or ".join(chosen.threads))
    for what, patterns in (("", chosen.functions), ("module ", chosen.modules)):
        if patterns:
            found.append("stacks with " + what + f" and with {what}".join(patterns))
    for what, patterns in (("", chosen.without_functions), ("module ", chosen.without_modules)):
        if patterns:
            found.append("no stacks with " + what + f" or with {what}".join(patterns))
    if chosen.sizes is not None:
        found.append("stacks that asked for " + size_words(*chosen.sizes))
    return found


def as_json(profile: Profile) -> dict[str, Any]:
    """The selection as docs/json.md has it: times as they were snapped, patterns as given."""
    chosen, time, sizes = profile.selection, profile.time, profile.selection.sizes
    peak = profile.range_peak
    bounds = None
    if sizes is not None:
        low = SIZE_BOUNDS[sizes[0] - 1] + 1 if sizes[0] else 0
        high = SIZE_BOUNDS[sizes[1]] if sizes[1] < len(SIZE_BOUNDS) else None
        bounds = {"from_bytes": low, "to_bytes": high}
    return {
        "from_seconds": None if time is None else time.start / 1e9,
        "to_seconds": None if time is None else time.end / 1e9,
        "peak_exact": profile.recording.summary.peak_exact if peak is None else peak.exact,
        "threads": list(chosen.threads),
        "functions": list(chosen.functions),
        "modules": list(chosen.modules),
        "without_functions": list(chosen.without_functions),
        "without_modules": list(chosen.without_modules),
        "sizes": bounds,
    }


def selection_notes(profile: Profile, metric: Metric, *, grown: bool = False) -> list[Note]:
    """How figures of this selection differ from what one may take them for. ``grown``: a verdict
    on what leaked is told as well."""
    return [
        *_about_time(profile, metric),
        *_about_sizes(profile, metric),
        *(too_short(profile) if metric.leaks else []),
        *(about_ended(profile) if grown or metric.leaks else []),
    ]


def _about_time(profile: Profile, metric: Metric) -> list[Note]:
    chosen, time, peak = profile.selection, profile.time, profile.range_peak
    if time is None or peak is None:
        return []
    found = []
    asked = (chosen.start or 0.0, chosen.end if chosen.end is not None else time.end / 1e9)
    length = profile.recording.summary.duration_ns / 1e9
    if asked[1] > length:
        found.append(Note("note", f"the recording is {units.duration(length)} long"))
        asked = (asked[0], time.end / 1e9)
    if any(abs(a - b / 1e9) > 1e-9 for a, b in zip(asked, (time.start, time.end))):
        text = "figures are kept by slices of time: counted are those that the range touches, from "
        text += f"{units.duration(time.start / 1e9)} to {units.duration(time.end / 1e9)}"
        found.append(Note("note", text))
    if not peak.exact and metric.column in ("peak_bytes", "peak_blocks"):
        shown, highest = int(profile.totals[0]), summarize(profile).peak_bytes
        text = "at peak: the highest moment that was kept of this range, at "
        text += units.duration(peak.time_ns / 1e9)
        if highest > shown:
            text += f", with {units.size(shown)}; of what the {units.size(highest)} consisted "
            text += "was not kept"
        found.append(Note("note", text))
    return found


def _about_sizes(profile: Profile, metric: Metric) -> list[Note]:
    if profile.selection.sizes is None or metric.name == "allocations":
        return []
    text = (
        "sizes are known of allocations only: other figures are of all blocks, of any size, that "
        "the same stacks asked for; --metric allocations counts these sizes alone"
    )
    return [Note("note", text)]


def too_short(profile: Profile) -> list[Note]:
    """That nothing can leak in so short a time, if it is."""
    if windows(profile.recording, profile.covered) is not None:
        return []
    return [Note("warning", "too short to tell leaks: nothing can be seen to grow and grow")]


def about_ended(profile: Profile, *, see: str = "--metric alive has it") -> list[Note]:
    """Processes that held memory when they ended, of which none counts as leaked. ``see``: where
    that is told."""
    recording = profile.recording
    held = METRICS["alive"].of(profile.figures)
    rows = np.flatnonzero((held > 0) & ended(recording, profile.covered))
    if not len(rows):
        return []
    count = len(np.unique(recording.contexts.process[rows]))
    text = (
        "memory of processes that had ended is not among the leaked: "
        f"{units.some(count, 'process', 'processes')} held {units.size(int(held[rows].sum()))} "
        f"at the end; {see}"
    )
    return [Note("note", text)]
