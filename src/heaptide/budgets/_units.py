"""What can be limited, and in which unit: known without what looks into recordings, which needs
NumPy."""

from __future__ import annotations

from typing import Final

from ._limits import BYTES, COUNT, RATE, RATIO

UNITS: Final = {
    "peak_heap": BYTES,
    "peak_rss": BYTES,
    "startup": BYTES,
    "idle_rss": BYTES,
    "idle_pss": BYTES,
    "idle_uss": BYTES,
    "alive": BYTES,
    "alive_blocks": COUNT,
    "leaked": BYTES,
    "growth": RATE,
    "total": BYTES,
    "allocations": COUNT,
    "reallocations": COUNT,
    "copied": BYTES,
    "temporary": RATIO,
    "short_lived": RATIO,
}
"""By their names in files and options."""
