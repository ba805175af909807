"""The live heap over time as lines of text, after Massif's graph."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from . import units

if TYPE_CHECKING:
    from heaptide.recording import Timeline

Ints = npt.NDArray[np.int64]

_EIGHTHS = " ▁▂▃▄▅▆▇█"
PEAK = "#"


@dataclass(frozen=True)
class Chart:
    """``rows`` from the top: a label for the axis and the plot's cells. All lines fit the width."""

    unit: str
    rows: list[tuple[str, str]]
    axis: tuple[str, str]  # the label of zero and the line itself
    times: str  # below the plot's cells, as wide as they
    margin: int  # columns left of the cells


def levels(
    timeline: Timeline,
    start: int,
    end: int,
    columns: int,
    *,
    peak: tuple[int, int] | None = None,
) -> Ints:
    """The highest live heap, in bytes, in each of ``columns`` equal parts of start..end (ns).

    A row of the timeline tells the live heap at its time and the highest since the row before.
    A part with rows shows the highest that they tell, and what was live when it began; a part
    between two rows the highest between them. Nothing is known before the first row; after the
    last the heap is as that left it.

    ``peak``: time (ns) and bytes of the peak, whose time is known better than by the row that
    tells of it: all parts between the two are as high as the peak. A row in a later part than
    the peak adds only its own live heap there.
    """
    if len(timeline) == 0 or columns <= 0:
        return np.zeros(max(columns, 0), np.int64)
    column = _column(timeline.time, start, end, columns)
    top = np.maximum(timeline.live_bytes, timeline.peak_bytes)
    at = tells = -1
    if peak is not None and (timeline.peak_bytes >= peak[1]).any():
        row = int(np.argmax(timeline.peak_bytes >= peak[1]))
        at = int(_column(np.array([peak[0]], np.int64), start, end, columns)[0])
        tells = int(column[row])
        if at < tells:
            top[row] = timeline.live_bytes[row]
    highest = np.full(columns, -1, np.int64)
    np.maximum.at(highest, column, top)
    last = np.zeros(columns, np.int64)
    last[column] = timeline.live_bytes  # the last row of a part wins: rows are in order of time
    following = np.searchsorted(column, np.arange(columns))  # the first row of this part or later
    between = np.where(
        (following > 0) & (following < len(timeline)),
        np.append(timeline.peak_bytes, 0)[following],
        np.where(following == 0, 0, timeline.live_bytes[-1]),
    )
    source = np.maximum.accumulate(np.where(highest >= 0, np.arange(columns), -1))
    before = np.append(0, np.where(source >= 0, last[source], 0)[:-1])
    filled: Ints = np.where(highest >= 0, np.maximum(highest, before), between)
    if peak is not None and at >= 0:
        filled[min(at, tells) : max(at, tells)] = peak[1]
        filled[at] = peak[1]
    return filled


def _column(time: Ints, start: int, end: int, columns: int) -> Ints:
    """The part of start..end that each of ``time`` is in."""
    found: Ints = np.clip((time - start) * columns // max(end - start, 1), 0, columns - 1)
    return found


def draw(
    heights: Ints, peak: tuple[int, int] | None, start: int, end: int, *, height: int, blocks: bool
) -> Chart:
    """Plot ``heights`` (bytes, one a column) in ``height`` lines.

    ``peak``: time (ns) and bytes of the peak, drawn with ``#`` from top to bottom at its column.
    ``blocks``: draw with eighths of a cell; else with ``:``, which every terminal has.
    """
    columns = len(heights)
    heights = heights.copy()
    at = -1
    if peak is not None and peak[1] > 0:
        at = int(_column(np.array([peak[0]], np.int64), start, end, columns)[0])
        heights[at] = peak[1]
        # The recorder's peak is exact, the timeline's rows are read apart: nothing rises above.
        heights = np.minimum(heights, peak[1])
    top = int(heights.max(initial=0))
    factor, unit = units.size_unit(top)
    # Eighths of a cell; whatever is live at all shows at least one.
    eighths = np.ceil(heights * (height * 8 / top)).astype(np.int64) if top else heights * 0
    labels = {0: f"{top / factor:.1f}"}
    if height >= 6:
        labels[height // 2] = f"{top / factor * (height - height // 2) / height:.1f}"
    margin = max(len(unit), *(len(label) for label in labels.values())) + 2
    tick, bar, corner, dash = ("┤", "│", "┼", "─") if blocks else ("+", "|", "+", "-")
    rows = []
    for row in range(height):
        filled = np.clip(eighths - (height - 1 - row) * 8, 0, 8)
        if blocks:
            cells = [_EIGHTHS[n] for n in filled]
        else:
            cells = [":" if n >= 4 or (n and row == height - 1) else " " for n in filled]
        if at >= 0:
            cells[at] = PEAK
        label = labels.get(row, "")
        edge = tick if label else bar
        if not blocks and row == 0:
            edge = "^"
        rows.append((f"{label:>{margin - 2}} {edge}", "".join(cells)))
    line = dash * columns if blocks else dash * (columns - 1) + ">"
    axis = (f"{0:>{margin - 2}} {corner}", line)
    return Chart(unit, rows, axis, _time_labels(start, end, columns), margin)


def _time_labels(start: int, end: int, columns: int) -> str:
    """Start, middle and end of the time axis."""
    labels = [units.duration(t / 1e9) for t in (start, (start + end) / 2, end)]
    first, middle, last = labels
    if len(first) + len(middle) + len(last) + 8 > columns:
        gap = columns - len(first) - len(last)
        return first + " " * gap + last if gap > 0 else first[:columns]
    left = (columns - len(middle)) // 2
    line = first + " " * (left - len(first)) + middle
    return line + " " * (columns - len(line) - len(last)) + last
