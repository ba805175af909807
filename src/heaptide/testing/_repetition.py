"""Whether something grows that is done again and again: the rule of the leak check.

One comparison of before and after cannot tell a leak from a cache that fills, a buffer that grows
once, or a collection that has not come yet. So the body is repeated, until growth has stopped or
goes on beyond doubt: floors, the least in each of some spans of repetitions, have to rise from span
to span, to the last one, and not ever more slowly.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np
import numpy.typing as npt

LEAST, MOST = 64, 512  # repetitions
_LOOKS = 3  # at as many repetitions, twice as many and so on, that growth has to be seen
_SPANS = 6
_RISES = 4  # of the 5 steps between spans, at least
_WARM_UP = 5  # one part in so many, at the beginning
_SLOWED = 3  # the second half rises by at least one part in so many of the first
_LEVEL = 0.01  # a rise below this part of the level is noise
_ENOUGH = 4 * LEAST  # repetitions by which floors alone tell that nothing grows

Figures = npt.NDArray[np.int64]


class Course(Enum):
    """How something went on."""

    FLAT = "flat"
    GROWING = "growing"
    OPEN = "open"  # more repetitions may tell


@dataclass(frozen=True)
class Trend:
    """``rate``: by how much each repetition adds; 0 unless it grows."""

    course: Course
    rate: float = 0.0


def trend_of(values: Sequence[int] | Figures) -> Trend:
    """Of what was live after each repetition, in bytes or blocks."""
    whole = np.asarray(values, np.int64)
    tail = whole[max(len(whole) // _WARM_UP, 1) :]
    if len(tail) < 3 * _SPANS:
        return Trend(Course.OPEN)
    spans = np.array_split(tail, _SPANS)
    floors = [int(span.min()) for span in spans]
    steps = [after - before for before, after in zip(floors, floors[1:])]
    rise = floors[-1] - floors[0]
    if _is_flat(spans, rise, steps, len(whole)):
        return Trend(Course.FLAT)
    middle = _SPANS // 2
    first, second = floors[middle] - floors[0], floors[-1] - floors[middle]
    level = abs(int(np.median(tail - whole[0])))
    end = [int(part.min()) for part in np.array_split(spans[-1], 2)]
    if (
        sum(step > 0 for step in steps) >= _RISES
        and steps[-1] > 0
        and second * _SLOWED >= first
        and rise >= _LEVEL * level
        and (end[1] > end[0] or len(whole) >= MOST)
    ):
        # From the middle of the first span to that of the last.
        return Trend(Course.GROWING, rise / (len(tail) * (_SPANS - 1) / _SPANS))
    return Trend(Course.OPEN)


def trend_of_place(live: Figures, blocks: Figures) -> Trend:
    """Of bytes; where they tell nothing, of blocks. A table that is made larger now and then grows
    in steps that are ever rarer, and hides what is put into it one by one."""
    found = trend_of(live)
    if found.course is not Course.OPEN or trend_of(blocks).course is not Course.GROWING:
        return found
    half = len(live) // 2
    rate = float(live[-1] - live[half]) / (len(live) - 1 - half)
    return Trend(Course.GROWING, rate) if rate > 0 else found


def _is_flat(spans: list[Figures], rise: int, steps: list[int], count: int) -> bool:
    """Whether floors have stopped to rise; before there are many repetitions, ceilings too: a
    saw-tooth that is longer than a span has floors anywhere."""
    if rise > 0 and not (sum(step > 0 for step in steps) <= 1 and max(steps[-2:]) <= 0):
        return False  # of a single step some time ago nothing follows
    if count >= _ENOUGH:
        return True
    half = _SPANS // 2
    before, after = (np.concatenate(part).max() for part in (spans[:half], spans[half:]))
    return bool(after <= before) or (rise <= 0 and bool(spans[-1].max() <= before))


@dataclass(frozen=True)
class Verdict:
    """``growing``: what grows, by how much each repetition, the largest first. ``decided``: no
    further repetition would tell more, or none is allowed."""

    growing: dict[str, float]
    decided: bool


def decide(looks: Sequence[Mapping[str, Trend]], *, last: bool) -> Verdict:
    """From the trends of all that is watched, at each look, the latest at the end: each look is at
    twice as many repetitions as the one before, and growth has to be seen at three, or the last."""
    now = looks[-1]
    proven = {
        name: trend.rate
        for name, trend in now.items()
        if trend.course is Course.GROWING and (last or _grew_before(looks, name))
    }
    settled = all(trend.course is Course.FLAT or name in proven for name, trend in now.items())
    growing = dict(sorted(proven.items(), key=lambda item: -item[1]))
    return Verdict(growing, last or settled)


def _grew_before(looks: Sequence[Mapping[str, Trend]], name: str) -> bool:
    if len(looks) < _LOOKS:
        return False
    return all(name in look and look[name].course is Course.GROWING for look in looks[-_LOOKS:])
