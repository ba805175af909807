"""glibc's malloc: ``mallinfo2`` and ``malloc_info``.

Both walk the lists of all free chunks, each arena's under its lock, where threads that allocate
wait: 20 to 30 ms on a fragmented heap. Blocks in a thread's cache count as allocated.
"""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING

from ._objects import Function, Library
from ._stats import Answer, ArenaStats

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

NAME = "glibc"

_MALLINFO = "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost"


class Mallinfo(ctypes.Structure):
    """``struct mallinfo2``."""

    _fields_ = [(name, ctypes.c_size_t) for name in _MALLINFO.split()]


class Allocator:
    """The malloc of a C library."""

    name, prefix, costly, walks = NAME, "", True, True

    def __init__(
        self, info: Function | None, report: Report | None, version: str | None, file: str
    ) -> None:
        """``info``: mallinfo2, which glibc has since 2.33; its malloc_info is older."""
        self._info, self._report = info, report
        self.version, self.file = version, file

    def ask(self, arenas: bool) -> Answer:
        """20 to 30 ms with 20,000 free chunks; twice that with arenas."""
        parts: tuple[ArenaStats, ...] = ()
        told = None
        if self._report is not None and (arenas or self._info is None):
            told = parse(self._report.text())
            parts = told.arenas
        if self._info is None:
            return told or Answer(reason="this glibc has neither mallinfo2 nor malloc_info")
        info = self._info()
        return Answer(
            allocated=info.uordblks + info.hblkhd,
            mapped=info.arena + info.hblkhd,
            free=info.fordblks,
            arenas=parts if arenas else (),
        )


class Report:
    """``malloc_info``: XML, written into memory."""

    def __init__(self, library: Library) -> None:
        pointer, place = ctypes.c_void_p, ctypes.c_void_p
        self._open = library.function("open_memstream", pointer, place, place)
        self._close = library.function("fclose", ctypes.c_int, pointer)
        self._free = library.function("free", None, pointer)
        self._info = library.function("malloc_info", ctypes.c_int, ctypes.c_int, pointer)

    @property
    def there(self) -> bool:
        return None not in (self._open, self._close, self._free, self._info)

    def text(self) -> bytes:
        assert self._open and self._close and self._free and self._info
        text, size = ctypes.c_void_p(), ctypes.c_size_t()
        stream = self._open(ctypes.byref(text), ctypes.byref(size))
        if not stream:
            return b""
        self._info(0, stream)
        self._close(stream)
        try:
            return ctypes.string_at(text.value, size.value) if text.value else b""
        finally:
            self._free(text)


def parse(text: bytes) -> Answer:
    """Of malloc_info's report. What is in fast bins and what is not is free, both."""
    from xml.etree import ElementTree  # 10 ms, of which most services need none

    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError:
        return Answer(reason="glibc's malloc_info cannot be read")
    arenas = []
    for heap in root.findall("heap"):
        held, free = _system(heap), _free(heap)
        arenas.append(
            ArenaStats(
                index=int(heap.get("nr", "0")),
                allocated=None if held is None else max(held - free, 0),
                mapped=held,
                free=free,
            )
        )
    held, free = _system(root), _free(root)
    apart = _size(root.find("total[@type='mmap']"))
    return Answer(
        allocated=None if held is None else max(held - free, 0) + apart,
        mapped=None if held is None else held + apart,
        free=free,
        arenas=tuple(arenas),
    )


def _system(heap: Element) -> int | None:
    found = heap.find("system[@type='current']")
    return None if found is None else _size(found)


def _free(heap: Element) -> int:
    return sum(_size(heap.find(f"total[@type='{kind}']")) for kind in ("fast", "rest"))


def _size(element: Element | None) -> int:
    return 0 if element is None else int(element.get("size", "0"))


def find(library: Library) -> Allocator | None:
    version = library.function("gnu_get_libc_version", ctypes.c_char_p)
    if version is None:
        return None
    info = library.function("mallinfo2", Mallinfo)
    report = Report(library)
    return Allocator(
        info, report if report.there else None, version().decode(errors="replace"), library.path
    )
