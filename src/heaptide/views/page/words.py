"""What the page's metrics mean, in a sentence each: docs/format.md has the whole definitions."""

from __future__ import annotations

from typing import Any

DEFINITIONS = {
    "peak": "what the live heap consisted of at its highest moment",
    "peak-blocks": "how many blocks the live heap consisted of at its highest moment",
    "alive": "what had not been freed when the recording ended; not a leak by itself",
    "alive-blocks": "how many blocks had not been freed when the recording ended",
    "leaked": "what came after warm-up, was not freed, and kept growing until the end",
    "leaked-blocks": "how many blocks came after warm-up, were not freed, and were more and more "
    "until the end",
    "total": "all that was requested over the whole time, freed or not",
    "allocations": "how many blocks were made over the whole time",
    "temporary": "blocks that were freed before their thread made another one",
    "short-lived": "blocks that were freed before their thread made eight more",
    "copied": "bytes that reallocations moved to another place",
    "reallocations": "how often a block was resized",
}

RANGES: list[dict[str, Any]] = [
    {
        "name": "survived",
        "words": "allocated in this range and still alive at its end",
        "unit": "bytes",
        "definition": "what was allocated within the range and had not been freed when it ended",
    },
    {
        "name": "survived_blocks",
        "words": "blocks allocated in this range and still alive at its end",
        "unit": "allocations",
        "definition": "how many blocks were made within the range and had not been freed when it "
        "ended",
    },
    {
        "name": "grown",
        "words": "growth in this range",
        "unit": "bytes",
        "definition": "what was allocated in the range less what was freed in it, whenever that "
        "had been allocated",
    },
    {
        "name": "grown_blocks",
        "words": "growth in blocks in this range",
        "unit": "allocations",
        "definition": "blocks that were made in the range less those that were freed in it",
    },
    {
        "name": "live_end",
        "words": "live at the end of this range",
        "unit": "bytes",
        "definition": "what was alive when the range ended, whenever it was allocated",
    },
    {
        "name": "live_end_blocks",
        "words": "blocks live at the end of this range",
        "unit": "allocations",
        "definition": "how many blocks were alive when the range ended, whenever they were made",
    },
    {
        "name": "live_start",
        "words": "live at the start of this range",
        "unit": "bytes",
        "definition": "what was alive when the range began",
    },
    {
        "name": "live_start_blocks",
        "words": "blocks live at the start of this range",
        "unit": "allocations",
        "definition": "how many blocks were alive when the range began",
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
        "name": "freed_blocks",
        "words": "blocks freed in this range",
        "unit": "allocations",
        "definition": "how many blocks were freed within the range, or resized, charged to where "
        "they had been made",
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
    {
        "name": "reallocations",
        "words": "reallocations in this range",
        "unit": "allocations",
        "definition": DEFINITIONS["reallocations"],
    },
]
"""Metrics of a range of time, in the order in which they are offered."""

_ALIVE, _BLOCKS = "alive_at_exit_bytes", "alive_at_exit_allocations"
NEEDED = {
    "survived": _ALIVE,
    "survived_blocks": _BLOCKS,
    "grown": _ALIVE,
    "grown_blocks": _BLOCKS,
    "live_end": _ALIVE,
    "live_end_blocks": _BLOCKS,
    "live_start": _ALIVE,
    "live_start_blocks": _BLOCKS,
    "allocated": "total_bytes",
    "freed": "total_bytes",
    "freed_blocks": "allocations",
    "allocations": "allocations",
    "temporary": "temporary_allocations",
    "short_lived": "short_lived_allocations",
    "copied": "copied_bytes",
    "reallocations": "reallocations",
}
"""The figure of the whole time without which each is not known of a range either."""
