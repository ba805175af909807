"""tcmalloc of gperftools: the C functions of its ``MallocExtension``.

Google's newer one, apart from gperftools, has them in C++ only, and is not found.
"""

from __future__ import annotations

import ctypes
import re

from ._objects import Function, Library
from ._stats import Answer

NAME = "tcmalloc"

_TEXT = 1 << 16  # bytes; its report needs 10,000 at least
_METADATA = re.compile(rb"^MALLOC: \+ +(\d+) \(.*\) Bytes in malloc metadata$", re.MULTILINE)
_CACHES = ("central_cache_free_bytes", "transfer_cache_free_bytes", "thread_cache_free_bytes")


class Allocator:
    """The tcmalloc in a library."""

    name, prefix, costly, walks = NAME, "", False, False

    def __init__(
        self, get: Function, report: Function | None, version: str | None, file: str
    ) -> None:
        self._property, self._report = get, report
        self.version, self.file = version, file

    def ask(self, arenas: bool) -> Answer:
        """20 µs, and as much for its report, of which the size of its books is. No arenas."""
        heap = self._get("generic.heap_size")
        unused = self._get("tcmalloc.pageheap_free_bytes")
        retained = self._get("tcmalloc.pageheap_unmapped_bytes")
        metadata = self._metadata()
        caches = [self._get(f"tcmalloc.{name}") for name in _CACHES]
        mapped = None if heap is None or retained is None else heap - retained
        known = [one for one in (unused, *caches) if one is not None]
        return Answer(
            allocated=self._get("generic.current_allocated_bytes"),
            active=None if mapped is None or unused is None else mapped - unused,
            resident=None if mapped is None or metadata is None else mapped + metadata,
            mapped=mapped,
            retained=retained,
            metadata=metadata,
            free=sum(known) if len(known) == 1 + len(caches) else None,
        )

    def _get(self, name: str) -> int | None:
        value = ctypes.c_size_t()
        return int(value.value) if self._property(name.encode(), ctypes.byref(value)) else None

    def _metadata(self) -> int | None:
        if self._report is None:
            return None
        text = ctypes.create_string_buffer(_TEXT)
        self._report(text, len(text))
        found = _METADATA.search(text.value)
        return None if found is None else int(found[1])


def find(library: Library) -> Allocator | None:
    get = library.function(
        "MallocExtension_GetNumericProperty", ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p
    )
    if get is None:
        return None
    report = library.function("MallocExtension_GetStats", None, ctypes.c_void_p, ctypes.c_int)
    version = library.function(
        "tc_version", ctypes.c_char_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p
    )
    said = None if version is None else version(None, None, None)
    return Allocator(get, report, said.decode(errors="replace") if said else None, library.path)
