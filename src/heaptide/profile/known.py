"""What a recording does not tell: its zeros there mean nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from .metrics import (
    BY_ORDER,
    EVERY_METRIC,
    KEPT,
    LEAK_COLUMNS,
    METRICS,
    Metric,
    extra_metric,
    metric,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from heaptide.recording import Recording

_MOMENTS = frozenset(("duration_seconds", "peak_time_seconds"))


def unknown(recording: Recording) -> frozenset[str]:
    """Names of figures in JSON, and of tables, that are not known of ``recording``."""
    lacking = recording.lacks
    if recording.sample_interval:
        lacking |= frozenset(BY_ORDER)
    if lacking & {"alive_at_exit_bytes", "time"}:
        lacking |= frozenset(LEAK_COLUMNS)
    if lacking & {"alive_at_exit_allocations", "allocations"}:  # what lies between the two
        lacking |= {"deallocations"}
    if "time" in lacking:
        lacking |= _MOMENTS
    return lacking


def told(recording: Recording, figures: Mapping[str, Any]) -> dict[str, Any]:
    """``figures``, by their names in JSON; None for what ``recording`` does not tell."""
    lacking = unknown(recording)
    return {name: None if name in lacking else figure for name, figure in figures.items()}


def known_metrics(recording: Recording) -> list[Metric]:
    """The metrics that ``recording`` can be looked at by, its own ones last."""
    lacking = unknown(recording)
    snapshot = recording.end is not None and recording.end.reason == "snapshot"
    words = {"alive": "live at the snapshot"} if snapshot else {}
    return [
        *(
            replace(one, words=words.get(one.name, one.words))
            for one in METRICS.values()
            if one.column not in lacking
        ),
        *extra_metrics(recording),
    ]


def extra_metrics(recording: Recording) -> list[Metric]:
    """Metrics that only the format has that ``recording`` was imported from."""
    if not recording.source:
        return []
    table = recording.extras
    found: dict[str, Metric] = {}
    for row in range(len(table)):
        name = table.metric[row]
        if name not in found and name not in (*EVERY_METRIC, KEPT.name):
            found[name] = extra_metric(name, table.words[row], table.unit[row])
    return list(found.values())


def metric_of(recording: Recording, name: str) -> Metric:
    """The metric called ``name``, one of this recording's own included. Raises UsageError."""
    for one in (KEPT, *extra_metrics(recording)):
        if one.name == name:
            return one
    return metric(name)


def default_metric(recording: Recording) -> Metric:
    """What to show first: the peak, or the next best that is known."""
    return next(iter(known_metrics(recording)), METRICS["total"])
