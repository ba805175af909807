"""What budgets are about: figures of a recording, each with the words that name it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from heaptide.profile import (
    LEAKED,
    METRICS,
    Profile,
    metric_figures,
    summarize,
    timeline_of,
    unknown,
)

from ._units import UNITS

if TYPE_CHECKING:
    from heaptide.profile import Summary

_SETTLED = 0.9  # from here on, of the time, a program is taken to be idle
_LEAST_SECONDS = 1.0  # of a recording, for a rate to say anything
_LEAKS = ("leaked", "growth")
STARTED: Final = ("started", "ready")  # marks that end a program's start


@dataclass(frozen=True)
class Measure:
    """``of(profile, summary)``: the figure; None: this recording does not tell it."""

    name: str  # in files and options
    words: str
    unit: str
    of: Callable[[Profile, Summary], float | None]


def _figure(column: str) -> Callable[[Profile, Summary], float | None]:
    """A figure of the summary, by its name in JSON."""

    def of(profile: Profile, summary: Summary) -> float | None:
        if column in unknown(profile.recording):
            return None
        found: float | None = getattr(summary, column)
        return found

    return of


def _calls(profile: Profile, summary: Summary) -> float | None:
    return None if "allocations" in unknown(profile.recording) else summary.calls


def _peak_rss(profile: Profile, summary: Summary) -> float | None:
    return summary.peak_rss_bytes or None


def _idle(column: str) -> Callable[[Profile, Summary], float | None]:
    """The median of a column of the timeline in the last tenth of the time."""

    def of(profile: Profile, summary: Summary) -> float | None:
        rows = timeline_of(profile)
        values = getattr(rows, column)
        read = values > 0
        if not read.any():
            return None
        first, last = int(rows.time[0]), int(rows.time[-1])
        late = read & (rows.time >= first + _SETTLED * (last - first))
        return float(np.median(values[late] if late.any() else values[read][-1:]))

    return of


def _startup(profile: Profile, summary: Summary) -> float | None:
    """The heap that is live at the first mark of STARTED, of all processes; None: there is none, or
    this is a phase only."""
    recording, at = profile.recording, started_at(profile)
    if at is None or profile.selection.ranged or "alive_at_exit_bytes" in unknown(recording):
        return None
    until = replace(profile.selection, end=at / 1e9)
    return summarize(Profile(recording, until)).alive_at_exit_bytes


def started_at(profile: Profile) -> int | None:
    """When the program had started, in nanoseconds, as far as the recording reaches."""
    recording = profile.recording
    marks, slices = recording.marks, recording.slices
    last = int(slices.end[-1]) if len(slices) else 0
    times = [int(marks.time[row]) for row in range(len(marks)) if marks.name[row] in STARTED]
    found = min(times, default=0)
    return found if 0 < found <= last else None


def _leaked(profile: Profile, summary: Summary) -> float | None:
    """None: not known, or too short to tell. See ``may_be_warm_up``."""
    from heaptide.profile.leaks import windows

    recording = profile.recording
    if LEAKED.column in unknown(recording) or windows(recording, profile.covered) is None:
        return None
    return profile.total_of(LEAKED)


def _growth(profile: Profile, summary: Summary) -> float | None:
    """What leaked, by the hour: between the first floor and the last is two thirds of the time."""
    from heaptide.profile.leaks import TAIL, WARM_UP

    found = _leaked(profile, summary)
    if found is None or summary.duration_seconds < _LEAST_SECONDS:
        return None
    seconds = summary.duration_seconds * (1 - WARM_UP - TAIL) * 2 / 3
    return found / seconds * 3600


MEASURES: Final = {
    name: Measure(name, words, UNITS[name], of)
    for name, words, of in (
        ("peak_heap", "peak heap", _figure("peak_bytes")),
        ("peak_rss", "peak RSS", _peak_rss),
        ("startup", "live when started", _startup),
        ("idle_rss", "RSS at the end", _idle("rss")),
        ("idle_pss", "PSS at the end", _idle("pss")),
        ("idle_uss", "USS at the end", _idle("uss")),
        ("alive", "alive at the end", _figure("alive_at_exit_bytes")),
        ("alive_blocks", "blocks alive at the end", _figure("alive_at_exit_allocations")),
        ("leaked", "leaked", _leaked),
        ("growth", "growth", _growth),
        ("total", "allocated in total", _figure("total_bytes")),
        ("allocations", "calls to allocation functions", _calls),
        ("reallocations", "reallocations", _figure("reallocations")),
        ("copied", "copied by realloc", _figure("copied_bytes")),
        (
            "temporary",
            "temporary allocations",
            lambda profile, summary: summary.temporary_share,
        ),
        (
            "short_lived",
            "short-lived allocations",
            lambda profile, summary: summary.short_lived_share,
        ),
    )
}


def may_be_warm_up(profile: Profile, name: str) -> bool:
    """Whether the figure may be more than leaks: it can keep a limit, and not exceed one."""
    from heaptide.profile import leaks

    return name in _LEAKS and leaks.may_be_warm_up(profile.covered)


def too_short() -> str:
    from heaptide.profile.leaks import LEAST_SECONDS

    return (
        "the time is too short to tell a leak from warm-up: run it for more than "
        f"{LEAST_SECONDS:.0f} s, or repeat its code in a test with @pytest.mark.memory(leaked=0)"
    )


def why_not(profile: Profile, name: str) -> str:
    """Why there is no figure of this name."""
    if name == "startup":
        if profile.selection.ranged:
            return "it is of the whole run, not of a phase"
        if started_at(profile) is None and not profile.recording.source:
            return (
                "the recording has no mark 'started' or 'ready': call "
                'heaptide.mark("started") where the program has started'
            )
    if name in _LEAKS and LEAKED.column not in unknown(profile.recording):
        return too_short()
    return "this recording does not tell"


def module_share(profile: Profile, name: str) -> tuple[int, int] | None:
    """Bytes at the peak of stacks that go through a module of this name, and all bytes; None: the
    recording has no such module, or does not tell."""
    from heaptide.profile.selection import with_location

    if "peak_bytes" in unknown(profile.recording):
        return None
    numbers, names = profile.modules
    wanted = np.array([_is_of(module, name) for module in names], np.bool_)
    if not wanted.any():
        return None
    figures = metric_figures(profile, METRICS["peak"])[:, 0]
    return int(figures[with_location(profile, wanted[numbers])].sum()), int(figures.sum())


def _is_of(module: str, name: str) -> bool:
    """``numpy`` is of ``numpy`` and ``numpy.core``; a library by the beginning of its file's name,
    ``libfoo`` of ``/usr/lib/libfoo.so.6``."""
    file = module.rpartition("/")[2]
    return any(text == name or text.startswith((f"{name}.", f"{name}-")) for text in (module, file))
