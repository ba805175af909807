"""What the system says of a process."""

from __future__ import annotations

from pathlib import Path


def runs(pid: int) -> bool:
    """Whether a process exists and is more than the remains that its parent has yet to collect."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return False
    return stat.rpartition(b")")[2].split()[0] not in (b"Z", b"X")
