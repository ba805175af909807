"""Not counting ourselves: pages of libraries that this process maps too.

The kernel divides a page among all that map it. A server that runs on the same interpreter and C
library as heaptide would seem smaller while it is measured than it is: by 8 % of its PSS and 19 %
of its USS, measured of a small Python program.
"""

from __future__ import annotations

import ctypes
import re
from functools import lru_cache
from pathlib import Path

_MAPPING = re.compile(rb"^([0-9a-f]+)-([0-9a-f]+) (r-[-x]p) \S+ \S+ [1-9]\d*\s+/")
_ANONYMOUS = re.compile(rb"^Anonymous:\s+(\d+) kB")
_MADV_DONTNEED = 4


def stand_aside() -> None:
    """Unmaps, for now, what of this process's files is neither written to nor in use.

    The pages stay in the kernel's cache, and come back when they are touched.
    """
    madvise = _madvise()
    try:
        lines = Path("/proc/self/smaps").read_bytes().splitlines()
    except OSError:  # without it figures are a little lower, and no worse
        return
    mapping: re.Match[bytes] | None = None
    for line in lines:
        found = _MAPPING.match(line)
        if found or b"-" in line.split(b" ", 1)[0]:
            mapping = found
            continue
        anonymous = _ANONYMOUS.match(line)
        # Of a page that was written to (relocations) this is the only copy.
        if anonymous and mapping and int(anonymous[1]) == 0:
            start, end = int(mapping[1], 16), int(mapping[2], 16)
            madvise(start, end - start, _MADV_DONTNEED)


@lru_cache(maxsize=1)
def _madvise() -> ctypes._NamedFuncPointer:
    # PyDLL keeps the interpreter's lock: no thread may exchange mappings meanwhile.
    function = ctypes.PyDLL(None).madvise
    function.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    return function
