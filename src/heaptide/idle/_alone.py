"""What processes would take if nothing else ran on the machine: each page once.

PSS and USS of a program depend on its neighbours: a page of the C library belongs to it by a
hundredth where a hundred processes map it, and wholly where none does. Which pages of files
processes have is told by /proc/PID/maps and pagemap, whose flags need no privileges; so what
several of them share is counted once, whoever else has it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]

_PAGE = os.sysconf("SC_PAGE_SIZE")
_ENTRY = 8  # bytes of pagemap for each page of addresses
_MAP = re.compile(rb"^([0-9a-f]+)-([0-9a-f]+) \S+ ([0-9a-f]+) (\S+) ([1-9]\d*)", re.MULTILINE)
_RESIDENT_FILE = np.uint64(1 << 63 | 1 << 61)  # present, and of a file or shared memory
_AT_ONCE = 1 << 20  # entries; a mapping may have many more


def file_pages(root: Path, pids: Iterable[int]) -> int | None:
    """Bytes of the pages of files and shared memory that any of these processes has in memory, each
    once; those that have gone have none. None: the kernel does not tell."""
    found: dict[tuple[bytes, bytes], list[Ints]] = {}
    for pid in pids:
        folder = root / str(pid)
        try:
            maps = (folder / "maps").read_bytes()
            with (folder / "pagemap").open("rb", buffering=0) as pagemap:
                for start, end, offset, device, inode in _MAP.findall(maps):
                    first, last = int(start, 16) // _PAGE, int(end, 16) // _PAGE
                    pages = _resident(pagemap.fileno(), first, last)
                    if len(pages):
                        shift = int(offset, 16) // _PAGE - first
                        found.setdefault((device, inode), []).append(pages + shift)
        except (FileNotFoundError, ProcessLookupError):
            continue
        except OSError:
            return None
    return _PAGE * sum(len(np.unique(np.concatenate(parts))) for parts in found.values())


def _resident(pagemap: int, first: int, last: int) -> Ints:
    """The pages of first..last, by their addresses, that are in memory and not the process's own
    copies."""
    parts = [np.zeros(0, np.int64)]
    for begin in range(first, last, _AT_ONCE):
        raw = os.pread(pagemap, (min(begin + _AT_ONCE, last) - begin) * _ENTRY, begin * _ENTRY)
        entries = np.frombuffer(raw, np.uint64, len(raw) // _ENTRY)
        there = entries & _RESIDENT_FILE == _RESIDENT_FILE
        parts.append(np.flatnonzero(there).astype(np.int64) + begin)
    return np.concatenate(parts)
