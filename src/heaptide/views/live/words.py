"""A live view's figures in words, for the screen and for the snapshot alike."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from heaptide.views import units
from heaptide.views.commands import short_command

if TYPE_CHECKING:
    from heaptide.profile import Metric
    from heaptide.recorder.sessions import Running

    from .figures import Figures, History
    from .model import Look

Ints = npt.NDArray[np.int64]

# Ends of a recording that are not the program's.
_REASONS = {
    "stopped": "its collector was stopped",
    "duration": "--duration is over",
    "max-size": "--max-size is reached",
    "disk-full": "the disk is full",
    "error": "the file could not be written",
}
EIGHTHS = " ▁▂▃▄▅▆▇█"
PLAIN = " .:-=+*%#"
_SHORT = 6.0  # seconds: changes of longer ones are said to be so


def figure(metric: Metric, value: int) -> str:
    return units.size(value) if metric.unit == "bytes" else units.count(value)


def companion(metric: Metric, value: int) -> str:
    """The figure beside the metric's."""
    return units.size(value) if metric.beside.endswith("_bytes") else units.count(value)


def change(metric: Metric, value: float) -> str:
    """What came and went a second: signed; nothing where it stayed."""
    whole = round(value)
    if whole == 0:
        return ""
    sign = "+" if whole > 0 else "-"
    return f"{sign}{figure(metric, abs(whole))}/s"


def change_head(window: float | None) -> str:
    """What changes are of; "" where the metric has none."""
    if window is None:
        return ""
    return "change" if window <= _SHORT else f"in {units.duration(window)}"


def key_figures(figures: Figures) -> list[tuple[str, str]]:
    """Names and values, the most telling first."""
    found = [
        ("live heap", units.size(figures.live_bytes)),
        ("peak", units.size(figures.peak_bytes)),
        ("RSS", units.size(figures.rss_bytes) if figures.rss_bytes else "not read"),
        ("allocations/s", units.count(round(figures.allocations_per_second))),
        ("allocations", units.count(figures.allocations)),
        ("blocks", units.count(figures.live_blocks)),
        ("in total", units.size(figures.total_bytes)),
        ("threads", units.count(figures.threads)),
    ]
    if figures.processes > 1:
        found.insert(4, ("processes", units.count(figures.processes)))
    return found


def headline(look: Look) -> str:
    """What is recorded, and where that has got to."""
    pid = f"{look.pid} " if look.pid else ""
    return f"{pid}{short_command(look.command.split(' ')) or look.path}"


def status(look: Look) -> str:
    """The phase, the time, the file."""
    end = look.recording.end
    phase = look.phase.value
    if end is not None and end.reason in _REASONS:
        phase = f"recording ended, {_REASONS[end.reason]}"
    parts = [phase, units.duration(look.figures.elapsed_ns / 1e9)]
    if look.deleted:
        parts.append("the recording's file was deleted")
    else:
        parts.append(f"file {units.size(look.file_bytes)}")
    if look.recording.sample_interval:
        parts.append(f"sampled every {units.binary_size(look.recording.sample_interval)}")
    return ", ".join(parts)


def spark(history: History, values: Ints, columns: int, glyphs: str) -> str:
    """``values`` over the whole time in so many cells, each the highest of its part."""
    heights = highest(history.time_ns, values, columns)
    top = int(heights.max(initial=0))
    if not top:
        return glyphs[0] * columns
    levels = np.ceil(heights * ((len(glyphs) - 1) / top)).astype(np.int64)
    return "".join(glyphs[level] for level in levels.tolist())


def highest(time_ns: Ints, values: Ints, columns: int) -> Ints:
    """The highest value in each of ``columns`` equal parts of 0..time_ns[-1]; a part without any
    is as the one before."""
    found = np.full(columns, -1, np.int64)
    if not len(time_ns) or columns <= 0:
        return np.maximum(found, 0)
    end = max(int(time_ns[-1]), 1)
    column = np.minimum(time_ns * columns // end, columns - 1)
    np.maximum.at(found, column, values)
    known = np.where(found >= 0, np.arange(columns), 0)
    filled: Ints = found[np.maximum.accumulate(known)]
    return np.maximum(filled, 0)


def session_cells(session: Running, rate: float | None = None) -> list[str]:
    """A recording in the list of all: pid, live heap, peak, RSS, calls, time, program."""
    live = session.live
    calls = units.count(live.allocations + live.reallocations)
    return [
        str(session.root or session.collector),
        units.size(live.live_bytes),
        units.size(live.peak_bytes),
        units.size(live.rss_bytes),
        calls if rate is None else f"{units.count(round(rate))}/s",
        units.duration(live.elapsed_ns / 1e9),
        session.name,
    ]


SESSION_HEADS = ("pid", "live heap", "peak", "RSS", "allocations", "time", "program")
