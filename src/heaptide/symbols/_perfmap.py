"""Names of code made at run time, from the /tmp/perf-PID.map files that JIT compilers write.

A line is ``START SIZE name``, in hex; a later line about an address replaces an earlier one.
"""

from __future__ import annotations

import os
import stat
from bisect import bisect_right
from pathlib import Path
from typing import Final

_MAX_BYTES: Final = 512 << 20


class PerfMap:
    """The functions of one map file."""

    def __init__(self, text: bytes) -> None:
        found: dict[int, tuple[int, str]] = {}
        for line in text.split(b"\n"):
            start, _, rest = line.partition(b" ")
            size, _, name = rest.partition(b" ")
            try:
                at, length = int(start, 16), int(size, 16)
            except ValueError:
                continue
            if name and length > 0:
                found[at] = (at + length, name.decode("utf-8", "replace").strip())
        self._starts = sorted(found)
        self._found = found

    def __len__(self) -> int:
        return len(self._starts)

    def name(self, address: int) -> str | None:
        index = bisect_right(self._starts, address) - 1
        if index < 0:
            return None
        end, name = self._found[self._starts[index]]
        return name if address < end else None

    @classmethod
    def of_process(
        cls, pid: int, since: float = 0.0, directory: Path = Path("/tmp")
    ) -> PerfMap | None:
        """The map of `pid`, or None. One written before `since` (Unix seconds), or by another user,
        is of another process that had the pid."""
        flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW
        try:
            descriptor = os.open(directory / f"perf-{pid}.map", flags)
        except OSError:
            return None
        with os.fdopen(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            own = status.st_uid in (os.getuid(), 0) or os.getuid() == 0
            if not stat.S_ISREG(status.st_mode) or not own or status.st_mtime < since:
                return None
            return cls(file.read(_MAX_BYTES))
