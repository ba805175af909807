"""How a command that has failed is told of."""

from __future__ import annotations

from typing import IO

from heaptide.recorder.child import Ended

_TAIL = 4096  # bytes that a last line is looked for in


def ended(status: int) -> str:
    if status >= 0:
        return f"ended with status {status}"
    return f"was ended by {Ended(128 - status, -status)}"


def said(errors: IO[bytes] | None) -> str:
    """The last line of what was written to standard error, which is why, as a rule."""
    if errors is None:
        return ""
    size = errors.seek(0, 2)
    errors.seek(max(size - _TAIL, 0))
    lines = errors.read().decode(errors="replace").strip().splitlines()
    line = lines[-1].strip().removeprefix("heaptide: ") if lines else ""
    return f": {line}" if line else ""
