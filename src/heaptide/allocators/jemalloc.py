"""jemalloc: ``mallctl``, under whatever prefix it was built with.

The same shape as ``jemalloc_ctl`` has in Rust::

    from heaptide.allocators import jemalloc

    jemalloc.epoch.advance()
    jemalloc.stats.allocated.read()

jemalloc counts by thread, and adds up when the epoch advances: figures stay as they are until then.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from typing import Any

from heaptide.errors import HeaptideError

from ._objects import Function, Library, loaded
from ._stats import Answer, ArenaStats

NAME = "jemalloc"
PREFIXES = ("", "je_", "_rjem_", "je_arrow_")
"""Of builds of its own, of Rust's tikv-jemallocator, of Arrow's."""

_ALL = 4096  # MALLCTL_ARENAS_ALL: an index that stands for all arenas
_FIGURES = ("allocated", "active", "resident", "mapped", "retained", "metadata")
_ENOENT, _EAGAIN = 2, 11
_BYTES, _POINTER = ctypes.c_char_p, ctypes.c_void_p


class Mallctl:
    """Reads and writes jemalloc's values by their names. 1 to 6 µs each."""

    def __init__(self, function: Function) -> None:
        self._call = function

    def get(self, name: str, kind: Any = ctypes.c_size_t) -> int | None:
        """None: this build has no such value."""
        value = kind()
        size = ctypes.c_size_t(ctypes.sizeof(value))
        status = self._call(name.encode(), ctypes.byref(value), ctypes.byref(size), None, 0)
        return None if status else int(value.value)

    def text(self, name: str) -> str | None:
        value = ctypes.c_char_p()
        size = ctypes.c_size_t(ctypes.sizeof(value))
        status = self._call(name.encode(), ctypes.byref(value), ctypes.byref(size), None, 0)
        return None if status or value.value is None else value.value.decode(errors="replace")

    def advance(self) -> int:
        """Adds up what threads have counted; the new number of the epoch. 65 to 85 µs."""
        value = ctypes.c_uint64(1)
        size = ctypes.c_size_t(ctypes.sizeof(value))
        place = ctypes.byref(value)
        status = self._call(b"epoch", place, ctypes.byref(size), place, size.value)
        if status:
            raise HeaptideError(f"jemalloc does not advance its epoch: error {status}")
        return int(value.value)


class Allocator:
    """One jemalloc. ``file``: where it is."""

    name, costly, walks = NAME, False, False

    def __init__(self, control: Mallctl, file: str, prefix: str) -> None:
        self.control, self.file, self.prefix = control, file, prefix
        self.version = control.text("version")

    def ask(self, arenas: bool) -> Answer:
        """About 0.1 ms, and 0.02 ms more for each arena."""
        get = self.control.get
        if self.control.get("config.stats", ctypes.c_bool) == 0:
            return Answer(reason="this jemalloc was built without statistics")
        try:
            self.control.advance()
        except HeaptideError as error:
            return Answer(reason=error.message)
        found: dict[str, Any] = {name: get(f"stats.{name}") for name in _FIGURES}
        free = _sum(_difference(found["active"], found["allocated"]), self._unused(_ALL))
        return Answer(**found, free=free, arenas=self._arenas() if arenas else ())

    def _unused(self, arena: int) -> int | None:
        """Bytes of pages that nothing is in, and that the system does not have back yet."""
        get, prefix = self.control.get, f"stats.arenas.{arena}"
        return _times(_sum(get(f"{prefix}.pdirty"), get(f"{prefix}.pmuzzy")), get("arenas.page"))

    def _arenas(self) -> tuple[ArenaStats, ...]:
        get, found = self.control.get, []
        page = get("arenas.page")
        for index in range(get("arenas.narenas", ctypes.c_uint) or 0):
            if not get(f"arena.{index}.initialized", ctypes.c_bool):
                continue
            prefix = f"stats.arenas.{index}"
            allocated = _sum(get(f"{prefix}.small.allocated"), get(f"{prefix}.large.allocated"))
            active = _times(get(f"{prefix}.pactive"), page)
            found.append(
                ArenaStats(
                    index=index,
                    allocated=allocated,
                    active=active,
                    resident=get(f"{prefix}.resident"),
                    mapped=get(f"{prefix}.mapped"),
                    retained=get(f"{prefix}.retained"),
                    free=_sum(_difference(active, allocated), self._unused(index)),
                )
            )
        return tuple(found)


def _sum(one: int | None, other: int | None) -> int | None:
    return None if one is None or other is None else one + other


def _times(one: int | None, other: int | None) -> int | None:
    return None if one is None or other is None else one * other


def _difference(one: int | None, other: int | None) -> int | None:
    return None if one is None or other is None else max(one - other, 0)


def find(library: Library) -> Allocator | None:
    """The jemalloc in a library."""
    for prefix in PREFIXES:
        function = library.function(
            f"{prefix}mallctl", ctypes.c_int, _BYTES, _POINTER, _POINTER, _POINTER, ctypes.c_size_t
        )
        if function is not None:
            return Allocator(Mallctl(function), library.path, prefix)
    return None


class Figure:
    """One of jemalloc's values."""

    def __init__(self, control: Callable[[], Mallctl], name: str) -> None:
        self._control, self._name = control, name

    def read(self) -> int:
        """Bytes, as of the last ``epoch.advance()``. Raises HeaptideError: this process has no
        jemalloc, or it keeps no statistics."""
        value = self._control().get(self._name)
        if value is None:
            raise HeaptideError(f"this jemalloc has no {self._name}: it was built without it")
        return value


class Epoch:
    """What jemalloc's figures are as of."""

    def __init__(self, control: Callable[[], Mallctl]) -> None:
        self._control = control

    def advance(self) -> int:
        """Makes figures be of now; the number of the new epoch. Raises HeaptideError: this process
        has no jemalloc."""
        return self._control().advance()


class Stats:
    """jemalloc's figures of the whole process, each with ``read()``."""

    def __init__(self, control: Callable[[], Mallctl]) -> None:
        self.allocated = Figure(control, "stats.allocated")
        self.active = Figure(control, "stats.active")
        self.metadata = Figure(control, "stats.metadata")
        self.resident = Figure(control, "stats.resident")
        self.mapped = Figure(control, "stats.mapped")
        self.retained = Figure(control, "stats.retained")


class _Here:
    """The jemalloc of this process, found when it is first wanted: the one that malloc is, or
    else the first of a library."""

    def __init__(self, libraries: Callable[[], Sequence[Library]]) -> None:
        self._libraries = libraries
        self._found: Mallctl | None = None

    def __call__(self) -> Mallctl:
        if self._found is None:
            every = [one for one in map(find, self._libraries()) if one is not None]
            if not every:
                raise HeaptideError(
                    "there is no jemalloc in this process that can be asked: heaptide.allocators."
                    "read() finds what there is; LD_PRELOAD=libjemalloc.so.2 preloads one"
                )
            self._found = min(every, key=lambda one: one.prefix != "").control
        return self._found


_here = _Here(loaded)
epoch = Epoch(_here)
stats = Stats(_here)
