"""What is left to the memory limit, again and again, for a twentieth of a millisecond.

`read_cgroup` tells all of a group and looks for it anew each time. Here the group is looked for
only when the process has been moved to another, and no more is read than there are limits for.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from heaptide._procfs import numbers, read_raw

from ._limit import Reading
from .cgroup import _UNLIMITED, _folders, _number, _working_set

_V1_FILES = ("memory.limit_in_bytes", "memory.usage_in_bytes")
_V2_FILES = ("memory.max", "memory.current")
_UNUSED = {1: b"total_inactive_file ", 2: b"inactive_file "}
_WHOLE = b"hierarchical_memory_limit "


@dataclass(frozen=True)
class Headroom:
    """Bytes, as `Cgroup` has them."""

    limit: int
    headroom: int


class HeadroomReader(Reading):
    """Of the control group that this process is in, and of those above it."""

    def __init__(self, root: Path = Path("/")) -> None:
        self._root, self._file = root, str(root / "proc" / "self" / "cgroup")
        super().__init__()

    def _begin(self) -> None:
        self._line: bytes | None = None
        self._version = 0
        self._folders: list[str] = []

    def read(self) -> Headroom | None:
        """None: there is no limit, or it cannot be seen from here."""
        line = read_raw(self._file)
        if line is None:
            return None
        if line != self._line:
            found = _folders(os.fsdecode(line), self._root)
            self._version = 0 if found is None else found[0]
            self._folders = [] if found is None else [str(folder) for folder in found[2]]
            self._line = line
        if not self._folders:
            return None
        return self._of_v2() if self._version == 2 else self._of_v1()

    def _of_v2(self) -> Headroom | None:
        found = []
        for folder in self._folders:
            limit = _number(f"{folder}/{_V2_FILES[0]}")
            if limit is not None:
                found.append((limit, self._used(folder, _V2_FILES[1])))
        return _nearest(found)

    def _of_v1(self) -> Headroom | None:
        own = self._folders[0]
        stat = read_raw(f"{own}/memory.stat") or b""
        whole = numbers(stat, (_WHOLE,)).get(_WHOLE)
        if whole is not None and whole >= _UNLIMITED:
            return None  # neither here nor in any group above
        found = []
        for folder in self._folders:
            limit = _number(f"{folder}/{_V1_FILES[0]}")
            if limit is not None and limit < _UNLIMITED:
                found.append((limit, self._used(folder, _V1_FILES[1])))
        if whole is not None:
            found.append((whole, self._used(own, _V1_FILES[1], stat)))
        return _nearest(found)

    def _used(self, folder: str, file: str, stat: bytes | None = None) -> int | None:
        """Without pages of files that can be dropped."""
        name = _UNUSED[self._version]
        unused = numbers(stat or read_raw(f"{folder}/memory.stat") or b"", (name,)).get(name)
        return _working_set(_number(f"{folder}/{file}"), unused)


def _nearest(levels: list[tuple[int, int | None]]) -> Headroom | None:
    left = [max(limit - used, 0) for limit, used in levels if used is not None]
    return Headroom(min(limit for limit, _ in levels), min(left)) if left else None
