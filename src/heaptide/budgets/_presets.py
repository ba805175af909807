"""Budgets that come with a name."""

from __future__ import annotations

from typing import Final

PRESETS: Final[dict[str, dict[str, str | int]]] = {
    # The thresholds of the guide; a megabyte is 10^6 bytes there.
    "guide": {
        "idle_rss": "256 MB",
        "peak_heap": "256 MB",
        "temporary": "50 %",
        "leaked": 0,
    },
}
