"""What is measured of a command: figures of its recording, and of a run without one."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from heaptide.errors import UsageError

BYTES, COUNT, RATIO, SECONDS = "bytes", "count", "ratio", "seconds"


@dataclass(frozen=True)
class Figure:
    """``name``: in options and JSON; those that budgets have are called as they are there."""

    name: str
    words: str
    unit: str
    recorded: bool = True  # read from a recording; else of a run that is not recorded
    judged: bool = True  # whether it makes a regression when nobody has asked for it

    @property
    def is_budget(self) -> bool:
        return self.unit != SECONDS


FIGURES: Final = {
    figure.name: figure
    for figure in (
        Figure("peak_heap", "peak heap", BYTES),
        Figure("total", "total allocated", BYTES),
        Figure("allocations", "allocations", COUNT),
        Figure("reallocations", "reallocations", COUNT),
        # Whether a block moves depends on where it lies: in a directory with a longer name, a
        # program has copied a third of what it copies elsewhere.
        Figure("copied", "copied", BYTES, judged=False),
        Figure("temporary", "temporary part", RATIO),
        Figure("alive", "alive at exit", BYTES),
        Figure("peak_rss", "peak RSS", BYTES, recorded=False),
        # What else a machine does changes these: they are shown, and judged if that is asked for.
        Figure("wall", "wall time", SECONDS, recorded=False, judged=False),
        Figure("cpu", "CPU time", SECONDS, recorded=False, judged=False),
    )
}


def chosen(names: Iterable[str], *, recording: bool = True) -> list[Figure]:
    """The figures of these names, in their order; all, without names. ``recording``: whether there
    may be one. Raises UsageError: nothing would be left."""
    wanted = set(names)
    found = [figure for figure in FIGURES.values() if figure.name in wanted or not wanted]
    if recording:
        return found
    lost = [figure.name for figure in found if figure.recorded and wanted]
    if lost:
        raise UsageError(
            f"{', '.join(lost)}: only a recording tells, and --no-recording makes none"
        )
    return [figure for figure in found if not figure.recorded]


@dataclass(frozen=True)
class Reading:
    """A figure of one run. ``value`` None: not measured, and why."""

    value: float | None
    reason: str = ""


def of_recording(path: Path, figures: Iterable[Figure]) -> dict[str, Reading]:
    """The figures of a recording, by name. Raises RecordingError."""
    from heaptide.budgets import Budgets, Limit, check
    from heaptide.profile import Profile
    from heaptide.recording import Recording

    limits = {figure.name: Limit(math.inf, figure.unit) for figure in figures if figure.recorded}
    with Recording.open(path) as recording:
        results = check(Profile(recording), Budgets(limits))
    return {result.budget: Reading(result.value, result.reason) for result in results}
