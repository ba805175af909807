"""Where the memory of a failed test came from: for each kind of limit the stacks that tell."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from heaptide.errors import HeaptideError
from heaptide.inside import Measurement, Stack
from heaptide.testing._words import stack_lines

if TYPE_CHECKING:
    from heaptide.budgets import Limit
    from heaptide.testing._results import TestResult

STACKS = 5
_READ = 50  # stacks, of which some are shown as the same lines

ALIVE = frozenset(["live", "live_blocks", "live_objects"])
REPEATED = frozenset(["leaked", "growth"])


@dataclass(frozen=True)
class Listing:
    """Stacks under a heading; ``live``: what of them was alive counts, not all they allocated."""

    heading: str
    stacks: Sequence[Stack]
    live: bool = False

    def lines(self, limit: int = STACKS) -> list[str]:
        return stack_lines(self.stacks, heading=self.heading, limit=limit, live=self.live)


class PeakHeld:
    """What the peak was made of, in the repeat with the least, if that is above ``limit``.

    To be looked at after each repeat: the next one begins a peak of its own.
    """

    def __init__(self, limit: Limit | None) -> None:
        self.stacks: list[Stack] = []
        self._limit = limit
        self._least: int | None = None

    def look(self, measurement: Measurement) -> None:
        figures = measurement.figures
        if measurement.peak_scope == "process" and measurement.whole is not None:
            figures = measurement.whole
        if self._limit is None or (self._least is not None and figures.peak >= self._least):
            return
        self._least = figures.peak
        self.stacks = []
        if figures.peak > self._limit.value:
            with contextlib.suppress(HeaptideError):
                self.stacks = measurement.held(_READ)


def listings(
    over: Collection[str],
    measurement: Measurement,
    recording: Path | None,
    held: PeakHeld,
    most: str = "most was allocated in:",
) -> list[Listing]:
    """For the limits ``over`` which a measured body went. ``recording``: its file, if it has ended;
    ``most``: the heading of what was allocated in total."""
    found = []
    rest = set(over) - REPEATED
    if "peak" in rest and held.stacks:
        found.append(Listing("what held the peak:", held.stacks, live=True))
        rest.discard("peak")
    if rest & ALIVE:
        stacks = stacks_of(measurement, recording, "live")
        if stacks:
            found.append(Listing("what was alive at the end:", stacks, live=True))
            rest -= ALIVE
    if rest:
        found.append(Listing(most, stacks_of(measurement, recording, "bytes")))
    return [one for one in found if one.stacks]


def stacks_of(measurement: Measurement, recording: Path | None, by: str) -> list[Stack]:
    """See ``Measurement.stacks``; of a recording that has ended, from its file."""
    from heaptide.inside._stacks import stacks_in

    with contextlib.suppress(HeaptideError):
        if recording is None:
            return measurement.stacks(_READ, by=by)
        tid = measurement.thread_id
        span = measurement.start_ns, measurement.end_ns
        return stacks_in(recording, *span, tid=tid, limit=_READ, by=by)
    return []


def point_at(result: TestResult, stacks: Sequence[Stack]) -> None:
    """The result's place is that of the first of them that has one, unless it has got one."""
    places = [stack.place for stack in stacks if stack.place is not None]
    if places and not result.place:
        result.place = [places[0].file, places[0].line]
