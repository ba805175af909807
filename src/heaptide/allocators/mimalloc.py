"""mimalloc: ``mi_process_info``, and ``mi_stats_get_json`` where it has that (2.2, 3.0).

What it has allocated is counted by builds with MI_STAT only; those of Debian have none of it. Its
"rss" is the whole process's, or a copy of "commit": neither is used here.
"""

from __future__ import annotations

import ctypes
from typing import Any

from ._objects import Function, Library
from ._stats import Answer

NAME = "mimalloc"

_INFO = 8  # places that mi_process_info fills in
_COMMIT = 5  # of them: bytes that it has asked the system for, now
_TEXT = 1 << 18  # bytes
_NOT_COUNTED = "this mimalloc does not count what is allocated: MI_STAT=1 when it is built makes it"


class Allocator:
    """The mimalloc in a library."""

    name, prefix, costly, walks = NAME, "", False, False

    def __init__(
        self, info: Function, report: Function | None, version: int | None, file: str
    ) -> None:
        self._info, self._report, self.file = info, report, file
        self.version = None if version is None else version_text(version)

    def ask(self, arenas: bool) -> Answer:
        """2 µs; 0.1 ms with a report. No arenas."""
        places = [ctypes.c_size_t() for _ in range(_INFO)]
        self._info(*map(ctypes.byref, places))
        committed = int(places[_COMMIT].value)
        answer = Answer(mapped=committed, reason=_NOT_COUNTED)
        if self._report is None:
            return answer
        text = ctypes.create_string_buffer(_TEXT)
        self._report(len(text), text)
        return parse(text.value, committed) or answer


def parse(text: bytes, committed: int) -> Answer | None:
    """Of its report in JSON; None: it is none."""
    import json

    try:
        told = json.loads(text)
    except ValueError:
        return None
    if not isinstance(told, dict):
        return None
    mapped = _current(told, "committed") or committed
    reserved = _current(told, "reserved")
    # Of a build that does not count, the fields are there, and have never been anything but 0.
    allocated = None
    if _number(told, "malloc_normal", "total"):
        allocated = (_current(told, "malloc_normal") or 0) + (_current(told, "malloc_huge") or 0)
    return Answer(
        allocated=allocated,
        mapped=mapped,
        retained=None if reserved is None else max(reserved - mapped, 0),
        free=None if allocated is None else max(mapped - allocated, 0),
        reason="" if allocated is not None else _NOT_COUNTED,
    )


def _current(told: dict[str, Any], name: str) -> int | None:
    return _number(told, name, "current")


def _number(told: dict[str, Any], name: str, which: str) -> int | None:
    value = told.get(name)
    number = value.get(which) if isinstance(value, dict) else None
    return number if isinstance(number, int) and number >= 0 else None


def version_text(number: int) -> str:
    """209 is 2.0.9; since 3.3, 30300."""
    if number >= 10_000:
        return f"{number // 10_000}.{number // 100 % 100}.{number % 100}"
    return f"{number // 100}.{number // 10 % 10}.{number % 10}"


def find(library: Library) -> Allocator | None:
    place = ctypes.c_void_p
    info = library.function("mi_process_info", None, *[place] * _INFO)
    if info is None:
        return None
    version = library.function("mi_version", ctypes.c_int)
    report = library.function("mi_stats_get_json", place, ctypes.c_size_t, place)
    return Allocator(info, report, None if version is None else version(), library.path)
