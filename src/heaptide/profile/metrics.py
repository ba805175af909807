"""The figures that memory is looked at by, each with the words that name it on every screen."""

from __future__ import annotations

from dataclasses import dataclass
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

    def of(self, figures: Ints) -> Ints:
        """The metric's column of figures shaped (rows, len(COLUMNS))."""
        return figures[:, COLUMNS.index(self.column)]

    def beside_of(self, figures: Ints) -> Ints:
        """The companion's column."""
        return figures[:, COLUMNS.index(self.beside)]


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
"""By the name that ``--metric`` takes."""

BY_ORDER = tuple(metric.column for metric in METRICS.values() if metric.by_order)
"""The figures of ``COLUMNS`` that are not known of a sampled recording."""


def metric(name: str) -> Metric:
    """The metric called ``name``. Raises UsageError, naming the ones there are."""
    try:
        return METRICS[name]
    except KeyError:
        known = ", ".join(METRICS)
        raise UsageError(f"there is no metric {name!r}; choose one of {known}") from None


def heaviest(recording: Recording, processes: Sequence[int]) -> int:
    """The row with the highest peak among ``processes`` (rows, not empty); the last of equal ones:
    of the images of one pid that is what the process became."""
    rows = np.asarray(processes, np.int64)
    peaks = recording.processes.peak_bytes[rows]
    return int(rows[len(rows) - 1 - np.argmax(peaks[::-1])])


def context_figures(recording: Recording, processes: Sequence[int] | None = None) -> Ints:
    """All figures of all contexts: shape (contexts, len(COLUMNS)).

    ``processes``: rows of the processes to count (None: all). Their contexts' columns other than
    the peak are as recorded; the peak is the highest moment of all processes together, or of the
    highest of the chosen ones (images of one pid follow one another, they do not add up).
    Contexts of arenas, and of other processes, are zero.
    """
    contexts = recording.contexts
    totals = recording.totals
    if processes is None:
        peak = recording.peak_of()
        counted = contexts.counted
    else:
        peak = recording.peak_of(heaviest(recording, processes))
        counted = contexts.counted & np.isin(contexts.process, processes)
    figures = np.empty((len(contexts), len(COLUMNS)), np.int64)
    for index, column in enumerate(
        (
            peak.bytes,
            peak.blocks,
            totals.live_bytes,
            totals.live_blocks,
            totals.bytes_in,
            totals.allocations,
            totals.reallocations,
            totals.copied_bytes,
            totals.temporary,
            totals.short_lived,
        )
    ):
        np.multiply(column, counted, out=figures[:, index])
    return figures
