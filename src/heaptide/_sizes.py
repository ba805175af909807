"""Units of bytes as people write them: MB and MiB differ."""

from __future__ import annotations

from typing import Final

BYTES_IN: Final = {
    "": 1,
    "b": 1,
    "kb": 10**3,
    "mb": 10**6,
    "gb": 10**9,
    "kib": 1 << 10,
    "mib": 1 << 20,
    "gib": 1 << 30,
}
"""By their names in small letters."""
