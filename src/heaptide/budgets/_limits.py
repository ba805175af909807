"""Amounts as people write them into a budget: ``256 MB``, ``24 MiB``, ``50 %``, ``10 MB/h``."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Final

from heaptide._sizes import BYTES_IN

BYTES, COUNT, RATIO, RATE = "bytes", "count", "ratio", "bytes/hour"

_SCALE: Final = {**BYTES_IN, "tb": 10**12, "tib": 1 << 40}
_PER_HOUR: Final = {"s": 3600, "min": 60, "h": 1, "d": 1 / 24}
_NUMBER = re.compile(
    r"((?:\d{1,3}(?:[,_]\d{3})+|\d+)(?:\.\d+)?(?:[eE][+-]?\d+)?|\.\d+)\s*"
    r"([A-Za-z%]*)\s*(?:/\s*([A-Za-z]+))?",
    re.ASCII,
)
_EXAMPLES: Final = {
    BYTES: '"256 MB" or "24 MiB"',
    COUNT: "100000",
    RATIO: '"50 %" or 0.5',
    RATE: '"1 MB/h"',
}


@dataclass(frozen=True)
class Limit:
    """The most that is allowed, in ``unit``; ``binary``: to be shown in MiB, as it was written."""

    value: float
    unit: str
    binary: bool = False


def parse_limit(written: object, unit: str) -> Limit:
    """Takes what a budget file, or an option, says. Raises ValueError: what it has to be instead.

    MB and MiB differ, and are both understood. Numbers alone are bytes, counts, or parts of 1.
    """
    wrong = ValueError(f"{written!r} is no limit: say {_EXAMPLES[unit]}")
    if isinstance(written, bool) or not isinstance(written, (int, float, str)):
        raise wrong
    text = str(written).strip()
    match = _NUMBER.fullmatch(text)
    if match is None:
        raise wrong
    number, scale, per = float(re.sub(r"[_,]", "", match[1])), match[2].lower(), match[3]
    if unit != RATE and per is not None:
        raise wrong
    if unit == RATIO:
        if scale not in ("", "%"):
            raise wrong
        value = number / 100 if scale == "%" else number
        if not value <= 1:
            raise wrong
        return Limit(value, unit)
    if unit == COUNT:
        if scale or not math.isfinite(number) or not number.is_integer():
            raise wrong
        return Limit(number, unit)
    if scale not in _SCALE:
        raise wrong
    value = number * _SCALE[scale]
    if unit == BYTES and not scale and math.isfinite(value) and not value.is_integer():
        raise wrong
    if unit == RATE and value:  # nothing is nothing in any time
        if per not in _PER_HOUR:
            raise wrong
        value *= _PER_HOUR[per]
    if not math.isfinite(value):
        raise wrong
    return Limit(value, unit, "i" in scale)
