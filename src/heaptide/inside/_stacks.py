"""Where a measured block allocated: sums by stack, of a range of time of a recording."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Optional

import numpy as np
import numpy.typing as npt

from heaptide.errors import UsageError
from heaptide.inside._frames import Frame, Stack
from heaptide.profile import locate
from heaptide.profile.origin import Origin
from heaptide.recording import Recording

if TYPE_CHECKING:
    from heaptide.inside._measure import Measurement
    from heaptide.recording._tables import Totals

Ints = npt.NDArray[np.int64]


def stacks_of(measurement: Measurement, limit: int, by: str) -> list[Stack]:
    """See ``Measurement.stacks``."""
    from heaptide.inside._measuring import measuring

    with measuring.written() as path:
        if path is None:
            raise UsageError("the recording of what was measured has ended: ask for stacks earlier")
        tid = measurement.thread_id if measurement.scope == "thread" else None
        span = measurement.start_ns, measurement.end_ns
        return stacks_in(path, *span, tid=tid, limit=limit, by=by)


def stacks_in(
    path: Path,
    start_ns: int,
    end_ns: int,
    *,
    tid: int | None = None,
    limit: int = 10,
    by: str = "bytes",
) -> list[Stack]:
    """The ``limit`` stacks that allocated most bytes in slices from ``start_ns`` to ``end_ns``, or
    have most alive (``by``); of one thread, if ``tid`` says so."""
    with Recording.open(path) as recording:
        return largest(recording, sums_by_stack(recording, start_ns, end_ns, tid), by, limit)


Named = dict[tuple[tuple[str, str], ...], Stack]
Part = Callable[[tuple[Frame, ...]], Optional[tuple[Frame, ...]]]
"""Of a stack, innermost first, the frames that it goes by; None leaves it out."""


def stacks_by_name(path: Path, part: Part) -> Named:
    """All that a recording's stacks did over the whole time, by the names of their functions and
    files: what another version of the program has too."""
    with Recording.open(path) as recording:
        ends = recording.slices.end
        sums = sums_by_stack(recording, -1, int(ends[-1]) if len(ends) else 0, None)
        return by_name(recording, sums, "bytes", part)


def by_name(recording: Recording, sums: Sums, figure: str, part: Part) -> Named:
    """Stacks of the same names as one, with the lines of the one whose ``figure`` is highest."""
    names = Namer(recording)
    found: Named = {}
    for row in np.argsort(-sums.figures[figure], kind="stable").tolist():
        frames = names.frames(int(sums.stack[row]))
        known_by = part(frames)
        if known_by is None:
            continue
        key = tuple((frame.function, frame.file) for frame in known_by)
        old = found.get(key)
        figures = {
            name: int(column[row]) + (getattr(old, name) if old else 0)
            for name, column in sums.figures.items()
        }
        found[key] = Stack(old.frames if old else frames, **figures)
    return found


@dataclass(frozen=True)
class Sums:
    """Rows of the recording's stacks, and by the name of each of Stack's figures a column."""

    stack: Ints
    figures: dict[str, Ints]


def sums_by_stack(recording: Recording, start_ns: int, end_ns: int, tid: int | None) -> Sums:
    """Of the slices that end in the range, whose bounds are ends of slices."""
    ends = recording.slices.end
    first, stop = (int(np.searchsorted(ends, t, side="right")) for t in (start_ns, end_ns))
    totals = recording.totals_between(first, stop)
    contexts = recording.contexts
    used = contexts.counted & _touched(totals)
    if tid is not None:
        used = used & (recording.threads.tid == tid)[contexts.thread]
    rows = np.flatnonzero(used)
    return grouped(
        recording,
        rows,
        {
            "bytes": totals.bytes_in,
            "allocations": totals.blocks_in,
            "live": totals.bytes_in - totals.bytes_out,
            "live_blocks": totals.blocks_in - totals.blocks_out,
        },
    )


def grouped(recording: Recording, rows: Ints, columns: Mapping[str, Ints]) -> Sums:
    """Columns by context, added up by stack; ``rows``: the contexts that count."""
    numbers = recording.contexts.stack[rows].astype(np.int64)
    stack, inverse = np.unique(numbers, return_inverse=True)
    figures = {}
    for name, column in columns.items():
        figures[name] = np.zeros(len(stack), np.int64)
        np.add.at(figures[name], inverse, column[rows])
    return Sums(stack, figures)


def largest(recording: Recording, sums: Sums, by: str, limit: int) -> list[Stack]:
    """The ``limit`` stacks of which a figure is highest, and above 0."""
    column = sums.figures[by]
    rows = np.flatnonzero(column > 0)
    rows = rows[np.argsort(-column[rows], kind="stable")][:limit]
    names = Namer(recording)
    return [
        Stack(
            names.frames(int(sums.stack[row])),
            **{name: int(figure[row]) for name, figure in sums.figures.items()},
        )
        for row in rows
    ]


def _touched(totals: Totals) -> npt.NDArray[np.bool_]:
    found: npt.NDArray[np.bool_] = (totals.blocks_in != 0) | (totals.blocks_out != 0)
    return found


class Namer:
    """The frames of a recording's stacks, in words."""

    def __init__(self, recording: Recording) -> None:
        self._recording = recording
        self._at = locate(recording)

    def innermost(self, frame: int) -> Frame:
        """Of a frame that stands for several functions, the one that was inlined deepest."""
        return self._frame(int(self._at.first[frame]))

    def _frame(self, row: int) -> Frame:
        at = self._at
        return Frame(
            at.texts[int(at.function[row])],
            at.texts[int(at.file[row])] or at.texts[int(at.module[row])],
            int(at.line[row]),
            bool(at.origin[row] == Origin.OWN),
        )

    def frames(self, stack: int) -> tuple[Frame, ...]:
        """Innermost first."""
        found = []
        for frame in self._recording.stack_frames(stack):
            first = int(self._at.first[frame])
            found += [self._frame(row) for row in range(first, first + int(self._at.count[frame]))]
        return tuple(found)
