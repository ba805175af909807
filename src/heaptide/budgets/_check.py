"""A profile held to budgets: a result for each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from heaptide.profile import LEAKED, Profile, summarize, unknown

from ._limits import BYTES
from ._measures import MEASURES, TIMED, module_share

if TYPE_CHECKING:
    from heaptide.recording import Recording

    from ._config import Budgets
    from ._limits import Limit


_CUT = ("max-size", "disk-full", "error")  # how a recording ends that nobody has ended
_RISING = ("peak_heap", "peak_rss", "total", "allocations", "reallocations", "copied")


@dataclass(frozen=True)
class Result:
    """``status``: ``ok``, ``over``, or ``unknown``: it could not be measured, and why.

    ``value`` and ``limit`` in ``unit``: bytes, counts, parts of 1, or bytes an hour.
    """

    budget: str  # peak_heap; modules.numpy
    words: str
    phase: str  # "": the whole run
    unit: str
    limit: float
    value: float | None
    status: str
    reason: str = ""
    binary: bool = False  # the limit was given in MiB

    @property
    def margin(self) -> float | None:
        """What is left of the limit; negative: so much too much."""
        return None if self.value is None else self.limit - self.value


def check(profile: Profile, budgets: Budgets) -> list[Result]:
    """A result for each budget, in their order; of phases behind those of the whole run."""
    if _nothing_in(profile):
        results = _of(None, budgets, "", "nothing was recorded")
        for name, own in budgets.phases.items():
            results += _of(None, own, name, "nothing was recorded")
        return results
    cut = _cut(profile.recording)
    results = [_of_a_part(result, cut) for result in _of(profile, budgets, "")]
    for name, own in budgets.phases.items():
        part, reason = _phase(profile, name)
        found = _of(part, own, name, reason)
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
    """What is exceeded already stays so; anything else may have been otherwise later."""
    if not cut or result.value is None or (result.status == "over" and result.budget in _RISING):
        return result
    return replace(result, value=None, status="unknown", reason=cut)


def exit_status(results: Sequence[Result]) -> int:
    """2: something could not be measured; 1: a budget was exceeded; else 0."""
    statuses = {result.status for result in results}
    return 2 if "unknown" in statuses else 1 if "over" in statuses else 0


def _of(profile: Profile | None, budgets: Budgets, phase: str, reason: str = "") -> list[Result]:
    """``profile`` None: not measured, for this ``reason``."""
    summary = None if profile is None else summarize(profile)
    told = profile is not None and LEAKED.column not in unknown(profile.recording)
    found = []
    for name, limit in budgets.limits.items():
        measure = MEASURES[name]
        value = None
        if profile is not None and summary is not None:
            value = measure.of(profile, summary)
        found.append(_result(name, measure.words, phase, limit, value, told))
    for name, limit in budgets.modules.items():
        words = f"{name} at the peak"
        share = None if profile is None else module_share(profile, name)
        value = None
        if share is not None:
            held, whole = share
            value = held if limit.unit == BYTES else held / whole if whole else 0.0
        found.append(_result(f"modules.{name}", words, phase, limit, value))
    return [replace(result, reason=reason) for result in found] if reason else found


def _result(
    name: str, words: str, phase: str, limit: Limit, value: float | None, told: bool = False
) -> Result:
    """``told``: the recording tells what leaked, where it is long enough."""
    if value is None:
        reason = "this recording does not tell"
        if name.startswith("modules."):
            reason = "the recording has no such module"
        elif name in TIMED and told:
            reason = "the time is too short to tell"
        status = "unknown"
    else:
        reason, status = "", "over" if value > limit.value else "ok"
    return Result(name, words, phase, limit.unit, limit.value, value, status, reason, limit.binary)


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
