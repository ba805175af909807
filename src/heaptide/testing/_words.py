"""What tests say of memory, in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from heaptide.budgets import BYTES, COUNT, RATIO
from heaptide.inside import Frame, Stack
from heaptide.testing._measures import MEASURES, SHOWN
from heaptide.testing._results import TestResult
from heaptide.views import units
from heaptide.views.places import short_path

_FRAMES = 5
_WORTH = 0.01  # of the largest: what is less is not shown
_CALLERS = {"_body.py": ("_run", "_run_coroutine"), "_benchmark.py": ("pedantic", "_round")}
_PLUGIN = str(Path(__file__).parent)
_HEAPTIDE = str(Path(__file__).parent.parent)


def amount(name: str, value: float) -> str:
    """A figure in the unit of its measure."""
    unit = MEASURES[name].unit
    if unit == RATIO:
        return units.percent(value)
    if unit == COUNT:
        return units.count(round(value))
    assert unit == BYTES
    return units.size(round(value))


def ran_into(name: str, now: float, base: float, *, exact: bool) -> str:
    """How a figure is above its baseline."""
    more = now - base
    part = f", {units.percent(more / base)}" if base else ""
    against = "in the baseline" if exact else "in the baseline, of another environment"
    return (
        f"{MEASURES[name].words}: {amount(name, now)}, {amount(name, base)} {against}: "
        f"{amount(name, more)} more{part}"
    )


def is_of_test(frames: Sequence[Frame]) -> bool:
    """Whether a stack is of the body of a test (or of another thread), not of what measures it."""
    end = _end_of_body(frames)
    if end is not None and not calls_body(frames[end]):
        return False
    return not any(frame.file.startswith(_HEAPTIDE) for frame in frames[:end]) and end != 0


def calls_body(frame: Frame) -> bool:
    """Whether a frame of the plugin is one that runs what is measured."""
    return frame.function.rpartition(".")[2] in _CALLERS.get(Path(frame.file).name, ())


def of_plugin(frame: Frame) -> bool:
    return frame.file.startswith(_PLUGIN)


def _end_of_body(frames: Sequence[Frame]) -> int | None:
    return next((i for i, frame in enumerate(frames) if of_plugin(frame)), None)


def body_of(frames: tuple[Frame, ...]) -> tuple[Frame, ...]:
    """Of a stack, what is within the body of the test."""
    return frames[: _end_of_body(frames)]


def shown_frames(frames: Sequence[Frame]) -> list[Frame]:
    """Of a stack, what leads from the test to the allocation: not what runs the test."""
    within = [frame for frame in frames[: _end_of_body(frames)] if frame.line or frame.own]
    return within[:_FRAMES] or list(frames[:1])


def figures_of_entry(result: TestResult) -> dict[str, float]:
    """What of a result goes into a baseline."""
    return {name: result.figures[name] for name in SHOWN if name in result.figures}


def varying(counts: Sequence[int], part: float) -> bool:
    """Whether repeats disagree by more than a part."""
    return len(counts) > 1 and max(counts) - min(counts) > part * min(counts)


def stack_lines(
    stacks: Sequence[Stack], *, heading: str, limit: int, live: bool = False
) -> list[str]:
    """Where it came from: what is ``live``, or all that was allocated. What is shown as the same
    lines is one."""
    if not stacks:
        return []
    merged: dict[tuple[str, ...], list[int]] = {}
    for stack in stacks:
        key = tuple(_frame(frame) for frame in shown_frames(stack.frames))
        sums = merged.setdefault(key, [0, 0])
        sums[0] += stack.live if live else stack.bytes
        sums[1] += stack.live_blocks if live else stack.allocations
    ordered = sorted(merged.items(), key=lambda one: -one[1][0])[:limit]
    lines = [heading]
    for frames, (size, count) in ordered:
        if size < _WORTH * ordered[0][1][0]:
            break
        what = "block" if live else "allocation"
        words = f" in {count:,} {what}{'s' * (count != 1)}" if count > 0 else ""
        lines += [f"  {units.size(size)}{words}", *(f"    {frame}" for frame in frames)]
    return lines


def _frame(frame: Frame) -> str:
    """As tables show it: files as seen from here, or from where they are installed."""
    return str(replace(frame, file=short_path(frame.file)))
