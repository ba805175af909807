"""A profile held to budgets: a result for each."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from heaptide.profile import Profile, summarize

from ._limits import BYTES
from ._measures import MEASURES, may_be_warm_up, module_share, too_short, why_not
from ._result import Result

if TYPE_CHECKING:
    from heaptide.recording import Recording

    from ._config import Budgets
    from ._limits import Limit


_CUT = ("max-size", "disk-full", "error")  # how a recording ends that nobody has ended
_RISING = ("peak_heap", "peak_rss", "total", "allocations", "reallocations", "copied")


def check(profile: Profile, budgets: Budgets) -> list[Result]:
    """A result for each budget, in their order; of phases behind those of the whole run."""
    unseen = "nothing was recorded" if _nothing_in(profile) else ""
    cut = _cut(profile.recording)
    results = [_of_a_part(result, cut) for result in _of(profile, budgets, "", unseen)]
    for name, own in budgets.phases.items():
        part, missing = _phase(profile, name)
        found = _of(part, own, name, unseen or missing)
        if part is not None and part.selection.end is None:
            found = [_of_a_part(result, cut) for result in found]
        results += found
    return results


def _nothing_in(profile: Profile) -> bool:
    """No program does with no allocation at all: one that seems to has not been seen."""
    summary = summarize(profile)
    return not (summary.peak_bytes or summary.total_bytes or summary.alive_at_exit_bytes)


def _cut(recording: Recording) -> str:
    """Why the recording does not reach to where it should; "": it does."""
    if recording.truncated_at is not None:
        return "the file is cut off"
    if recording.end is not None and recording.end.reason in _CUT:
        return f"the recording ends early: {recording.end.reason}"
    return "" if recording.finished else "the recording has no end, or is still being made"


def _of_a_part(result: Result, cut: str) -> Result:
    """What is exceeded already, and the start, stay so; anything else may have been otherwise
    later."""
    stays = result.budget == "startup" or (result.status == "over" and result.budget in _RISING)
    if not cut or result.value is None or stays:
        return result
    return replace(result, value=None, status="unknown", reason=cut)


def _of(profile: Profile | None, budgets: Budgets, phase: str, missing: str) -> list[Result]:
    """``missing``: why nothing can be measured, ``profile`` or not; "": it can."""
    found = []

    def add(name: str, words: str, limit: Limit, value: float | None, why: str) -> None:
        found.append(Result.of(name, words, limit, value, missing or why, phase))

    seen = None if missing else profile
    summary = None if seen is None else summarize(seen)
    for name, limit in budgets.limits.items():
        measure = MEASURES[name]
        value = None if seen is None or summary is None else measure.of(seen, summary)
        add(name, measure.words, limit, value, "" if seen is None else why_not(seen, name))
        if seen is not None and found[-1].status == "over" and may_be_warm_up(seen, name):
            found[-1] = replace(found[-1], value=None, status="unknown", reason=too_short())
    for name, limit in budgets.modules.items():
        share = None if seen is None else module_share(seen, name)
        value = None
        if share is not None:
            held, whole = share
            value = held if limit.unit == BYTES else held / whole if whole else 0.0
        add(
            f"modules.{name}",
            f"{name} at the peak",
            limit,
            value,
            "the recording has no such module",
        )
    return found


def _phase(profile: Profile, name: str) -> tuple[Profile | None, str]:
    """From the first mark of that name to the next one of another name in the same process, or to
    the end; None, and why there is none."""
    recording: Recording = profile.recording
    marks = recording.marks
    order = sorted(range(len(marks)), key=lambda row: int(marks.time[row]))
    named = [place for place, row in enumerate(order) if marks.name[row] == name]
    if not named:
        return None, f"the recording has no mark {name!r}"
    row = order[named[0]]
    start, end = int(marks.time[row]), None
    for later in order[named[0] + 1 :]:
        if marks.process[later] == marks.process[row] and marks.name[later] != name:
            end = int(marks.time[later])
            break
    last = int(recording.slices.end[-1]) if len(recording.slices) else 0
    if start >= last or (end is not None and end <= start):
        return None, "nothing happened in this phase"
    ends = None if end is None else end / 1e9
    return Profile(recording, replace(profile.selection, start=start / 1e9, end=ends)), ""
