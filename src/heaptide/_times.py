"""Times as people write them: ``90``, ``500ms``, ``10 s``, ``5min``, ``2h``."""

from __future__ import annotations

import re
from typing import Final

SECONDS_IN: Final = {
    "": 1.0,
    "ms": 1e-3,
    "s": 1.0,
    "m": 60.0,
    "min": 60.0,
    "h": 3600.0,
    "d": 86400.0,
}
"""By their names in small letters."""
_TIME = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)\s*([A-Za-z]*)")


def parse_seconds(written: str | float) -> float:
    """Raises ValueError: it is no time."""
    match = _TIME.fullmatch(str(written).strip())
    if isinstance(written, bool) or match is None or match[2].lower() not in SECONDS_IN:
        raise ValueError(f"{written!r} is not a time: say 90, 500ms, 10s, 5min or 2h")
    return float(match[1]) * SECONDS_IN[match[2].lower()]
