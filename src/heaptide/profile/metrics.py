"""The figures that memory is looked at by, each with the words that name it on every screen."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from heaptide.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from heaptide.recording import Recording

Ints = npt.NDArray[np.int64]

COLUMNS = (
    "peak_bytes",
    "peak_blocks",
    "alive_at_exit_bytes",
    "alive_at_exit_allocations",
    "total_bytes",
    "allocations",
    "reallocations",
    "copied_bytes",
    "temporary_allocations",
    "short_lived_allocations",
)
"""Figures kept for every context, by the names they have in JSON, in the order of the columns."""

LEAK_COLUMNS = ("leaked_bytes", "leaked_allocations")
"""Figures that cost a pass over all slices of time: behind ``COLUMNS`` where they are asked for."""

EXTRA, EXTRA_BESIDE = "extra", "extra_beside"
"""The columns of a metric that is kept for no other use: of what a foreign format alone knows, or
of what came in a range of time and stayed. Behind all others, where it is asked for."""

_ALL_COLUMNS = (*COLUMNS, *LEAK_COLUMNS, EXTRA, EXTRA_BESIDE)


@dataclass(frozen=True)
class Metric:
    """One way to order and compare: a column, how to call it, and what to show beside it."""

    name: str  # on the command line
    words: str  # on screens; the definition is in docs/format.md
    column: str
    unit: str  # "bytes" or "allocations"
    beside: str  # the column that tells the other half: how many, or how much
    beside_words: str
    by_order: bool = False  # counted by the order of allocations, of which samples say nothing

    @property
    def leaks(self) -> bool:
        """Whether it takes the columns of leaks."""
        return self.column in LEAK_COLUMNS

    def of(self, figures: Ints) -> Ints:
        """The metric's column of figures shaped (rows, len(COLUMNS)), or with LEAK_COLUMNS more,
        or with the EXTRA ones behind these."""
        return figures[:, _ALL_COLUMNS.index(self.column)]

    def beside_of(self, figures: Ints) -> Ints:
        """The companion's column."""
        return figures[:, _ALL_COLUMNS.index(self.beside)]


METRICS = {
    metric.name: metric
    for metric in (
        Metric("peak", "at peak", "peak_bytes", "bytes", "peak_blocks", "blocks"),
        Metric(
            "alive",
            "alive at exit",
            "alive_at_exit_bytes",
            "bytes",
            "alive_at_exit_allocations",
            "blocks",
        ),
        Metric("total", "allocated in total", "total_bytes", "bytes", "allocations", "allocations"),
        Metric("allocations", "allocations", "allocations", "allocations", "total_bytes", "bytes"),
        Metric(
            "temporary",
            "temporary allocations",
            "temporary_allocations",
            "allocations",
            "allocations",
            "of all",
            by_order=True,
        ),
        Metric(
            "short-lived",
            "short-lived allocations",
            "short_lived_allocations",
            "allocations",
            "allocations",
            "of all",
            by_order=True,
        ),
        Metric(
            "copied",
            "copied by realloc",
            "copied_bytes",
            "bytes",
            "reallocations",
            "reallocations",
        ),
    )
}
"""By the name that ``--metric`` takes: those that ``Profile.figures`` has columns of."""

LIVE = replace(METRICS["alive"], name="live", words="live now")
"""*Alive* under the name that fits while the end is not yet, or is not the recording's."""

LEAKED = Metric("leaked", "leaked", "leaked_bytes", "bytes", "leaked_allocations", "blocks")
"""Memory that came after warm-up, stays, and keeps growing: docs/format.md."""


BLOCKS = {
    metric.name: metric
    for metric in (
        Metric(
            "peak-blocks", "blocks at peak", "peak_blocks", "allocations", "peak_bytes", "bytes"
        ),
        Metric(
            "alive-blocks",
            "blocks alive at exit",
            "alive_at_exit_allocations",
            "allocations",
            "alive_at_exit_bytes",
            "bytes",
        ),
        Metric(
            "leaked-blocks",
            "blocks leaked",
            "leaked_allocations",
            "allocations",
            "leaked_bytes",
            "bytes",
        ),
        Metric(
            "reallocations",
            "reallocations",
            "reallocations",
            "allocations",
            "copied_bytes",
            "copied",
        ),
    )
}
"""What stands beside bytes, as metrics of their own, by name."""

LIVE_BLOCKS = replace(BLOCKS["alive-blocks"], name="live-blocks", words="blocks live now")


def extra_metric(name: str, words: str, unit: str) -> Metric:
    """A metric of a foreign format's own. Of whatever it counts in, blocks are counted and bytes
    sized; other units are shown as counts."""
    return Metric(
        name,
        words,
        EXTRA,
        "bytes" if unit == "bytes" else "allocations",
        EXTRA_BESIDE,
        "",
    )


KEPT = Metric(
    "kept",
    "allocated in this time and still alive at its end",
    EXTRA,
    "bytes",
    EXTRA_BESIDE,
    "blocks",
)
"""What a range of time has added: docs/format.md, births. Of one recording: not to be compared."""

EVERY_METRIC = {
    **METRICS,
    **{metric.name: metric for metric in (LIVE, LEAKED)},
    **BLOCKS,
    LIVE_BLOCKS.name: LIVE_BLOCKS,
}
"""All that ``--metric`` takes."""

BY_ORDER = tuple(metric.column for metric in METRICS.values() if metric.by_order)
"""The figures of ``COLUMNS`` that are not known of a sampled recording."""


def metric(name: str) -> Metric:
    """The metric called ``name``. Raises UsageError, naming the ones there are."""
    try:
        return EVERY_METRIC[name]
    except KeyError:
        known = ", ".join([*EVERY_METRIC, KEPT.name])
        raise UsageError(f"there is no metric {name!r}; choose one of {known}") from None


def heaviest(recording: Recording, processes: Sequence[int]) -> int:
    """The row with the highest peak among ``processes`` (rows, not empty); the last of equal ones:
    of the images of one pid that is what the process became."""
    rows = np.asarray(processes, np.int64)
    peaks = recording.processes.peak_bytes[rows]
    return int(rows[len(rows) - 1 - np.argmax(peaks[::-1])])
