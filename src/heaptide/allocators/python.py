"""CPython's own allocators: pymalloc, and mimalloc where it is built in (3.13).

CPython has their figures as text only, ``sys._debugmallocstats``; the function below it writes them
into memory here, where that goes to stderr. It is called with Python's lock held.
"""

from __future__ import annotations

import ctypes
import os
import sys
import sysconfig
from collections.abc import Callable, Mapping

from ._objects import Function, Library
from ._stats import Answer

PYMALLOC, MIMALLOC = "pymalloc", "cpython-mimalloc"

_program = ctypes.PyDLL(None)

_SUMS = "# arenas allocated total"  # before it is a line for each class of sizes
_BOOKS = (
    "# bytes lost to pool headers",
    "# bytes lost to arena map root",
    "# bytes lost to arena map mid",
    "# bytes lost to arena map bot",
)
_HOOKED = "another tool has put hooks before Python's allocator: it tells blocks only"
_FREE_THREADED = "the free-threaded build counts by thread: it tells blocks only"


class Allocator:
    """The allocator of CPython's objects in this process."""

    prefix, costly, walks = "", False, True

    def __init__(
        self,
        name: str,
        report: Callable[[], str],
        blocks: Callable[[], int],
        file: str,
        *,
        free_threaded: bool,
    ) -> None:
        self.name, self.file = name, file
        self.version: str | None = sys.version.split()[0]
        self._report, self._blocks, self._free_threaded = report, blocks, free_threaded

    def ask(self, arenas: bool) -> Answer:
        """0.1 ms for a small heap: each pool of 16 KiB is looked at, twice."""
        blocks = self._blocks()
        if self._free_threaded:
            return Answer(blocks=blocks, reason=_FREE_THREADED)
        read = parse_mimalloc if self.name == MIMALLOC else parse_pymalloc
        return read(self._report(), blocks)


def parse_pymalloc(text: str, blocks: int) -> Answer:
    """Of the report of pymalloc. Arenas are all resident once they were used: what is unused in
    them is held."""
    text = text[max(text.find(_SUMS), 0) :]
    allocated = _behind(text, "# bytes in allocated blocks")
    mapped, unused = _behind(text, " bytes/arena "), _behind(text, " unused pools ")
    if allocated is None or mapped is None or unused is None:
        return Answer(blocks=blocks, reason=_HOOKED)
    return Answer(
        allocated=allocated,
        active=mapped - unused,
        mapped=mapped,
        metadata=sum(_behind(text, name) or 0 for name in _BOOKS),
        free=(_behind(text, "# bytes in available blocks") or 0) + unused,
        blocks=blocks,
    )


def parse_mimalloc(text: str, blocks: int) -> Answer:
    """Of the report of CPython's mimalloc. "w/ Overhead" is what rounding up costs."""
    allocated, committed = _behind(text, "Allocated Bytes"), _behind(text, "Bytes Committed")
    if allocated is None or committed is None:
        return Answer(blocks=blocks, reason=_HOOKED)
    return Answer(
        allocated=allocated,
        mapped=committed,
        retained=max((_behind(text, "Bytes Reserved") or committed) - committed, 0),
        free=max(committed - allocated, 0),
        blocks=blocks,
    )


def _behind(text: str, name: str) -> int | None:
    """The number at the end of the first line that has a name in it. None: there is none."""
    at = text.find(name)
    if at < 0:
        return None
    end = text.find("\n", at)
    number = text[at : None if end < 0 else end].replace(",", "").rpartition(" ")[2]
    return int(number) if number.isdecimal() else None


def which(name: str | None, blocks: int, environment: Mapping[str, str]) -> str | None:
    """What CPython's objects come from. None: from malloc.

    ``name``: as CPython calls what is set; None where hooks are before it, or it is not known. Then
    what it was started with has to do.
    """
    if sysconfig.get_config_var("Py_GIL_DISABLED"):
        return MIMALLOC
    if name is None:
        name = "" if sys.flags.ignore_environment else environment.get("PYTHONMALLOC", "")
        name = name or ("pymalloc" if blocks else "malloc")
    kind = name.replace("_debug", "")
    return {"pymalloc": PYMALLOC, "debug": PYMALLOC, "mimalloc": MIMALLOC}.get(kind)


class Report:
    """``_PyObject_DebugMallocStats``, which writes to a stream, with one of the C library that
    writes into memory."""

    def __init__(self, library: Library, libc: Library) -> None:
        place = ctypes.c_void_p
        self._stats = library.function("_PyObject_DebugMallocStats", ctypes.c_int, place, gil=True)
        self._open = libc.function("open_memstream", place, place, place, gil=True)
        self._close = libc.function("fclose", ctypes.c_int, place, gil=True)

    def __call__(self) -> str:
        """Empty: it tells nothing."""
        if not (self._stats and self._open and self._close):
            return ""
        text, size = ctypes.c_void_p(), ctypes.c_size_t()
        stream = self._open(ctypes.byref(text), ctypes.byref(size))
        if not stream:
            return ""
        self._stats(stream)
        self._close(stream)
        try:
            written = ctypes.string_at(text.value, size.value) if text.value else b""
            return written.decode("ascii", "replace")
        finally:
            _free(text)


def _free(place: ctypes.c_void_p) -> None:
    """By whatever ``free`` is: the C library has it of whatever ``malloc`` is."""
    free: Function = _program.free
    free(place)


def find(
    library: Library,
    libc: Library,
    *,
    blocks: Callable[[], int] = sys.getallocatedblocks,
    environment: Mapping[str, str] = os.environ,
) -> Allocator | None:
    """The allocator of the CPython in a library, or in the program; ``libc``: where streams are.

    None: there is no CPython in it, or its objects come from malloc.
    """
    if library.function("_PyObject_DebugMallocStats", ctypes.c_int, ctypes.c_void_p) is None:
        return None
    current = library.function("_PyMem_GetCurrentAllocatorName", ctypes.c_char_p, gil=True)
    said = None if current is None else current()
    name = which(None if said is None else said.decode(), blocks(), environment)
    if name is None:
        return None
    return Allocator(
        name,
        Report(library, libc),
        blocks,
        library.path,
        free_threaded=bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
    )
