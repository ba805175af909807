"""What the page's metrics mean, in a sentence each: docs/format.md has the whole definitions."""

from __future__ import annotations

from typing import Any

DEFINITIONS = {
    "peak": "what the live heap consisted of at its highest moment",
    "alive": "what had not been freed when the recording ended; not a leak by itself",
    "leaked": "what came after warm-up, was not freed, and kept growing until the end",
    "total": "all that was requested over the whole time, freed or not",
    "allocations": "how many blocks were made over the whole time",
    "temporary": "blocks that were freed before their thread made another one",
    "short-lived": "blocks that were freed before their thread made eight more",
    "copied": "bytes that reallocations moved to another place",
}

RANGES: list[dict[str, Any]] = [
    {
        "name": "survived",
        "words": "allocated in this range and still alive at its end",
        "unit": "bytes",
        "definition": "what was allocated within the range and had not been freed when it ended",
    },
    {
        "name": "grown",
        "words": "growth in this range",
        "unit": "bytes",
        "definition": "what was allocated in the range less what was freed in it, whenever that "
        "had been allocated",
    },
    {
        "name": "live_end",
        "words": "live at the end of this range",
        "unit": "bytes",
        "definition": "what was alive when the range ended, whenever it was allocated",
    },
    {
        "name": "live_start",
        "words": "live at the start of this range",
        "unit": "bytes",
        "definition": "what was alive when the range began",
    },
    {
        "name": "allocated",
        "words": "allocated in this range",
        "unit": "bytes",
        "definition": "all that was requested within the range, freed or not",
    },
    {
        "name": "freed",
        "words": "freed in this range",
        "unit": "bytes",
        "definition": "what was freed within the range, charged to where it had been allocated",
    },
    {
        "name": "allocations",
        "words": "allocations in this range",
        "unit": "allocations",
        "definition": "how many blocks were made within the range",
    },
    {
        "name": "temporary",
        "words": "temporary allocations in this range",
        "unit": "allocations",
        "definition": DEFINITIONS["temporary"],
    },
    {
        "name": "short_lived",
        "words": "short-lived allocations in this range",
        "unit": "allocations",
        "definition": DEFINITIONS["short-lived"],
    },
    {
        "name": "copied",
        "words": "copied by realloc in this range",
        "unit": "bytes",
        "definition": DEFINITIONS["copied"],
    },
]
"""Metrics of a range of time, in the order in which they are offered."""

BY_ORDER = frozenset({"temporary", "short_lived"})
"""Those that are not known of a sampled recording."""
