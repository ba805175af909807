"""Which allocators are live in this process, and what each tells."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, Optional, Protocol

from heaptide.errors import UsageError

from . import glibc, jemalloc, mimalloc, musl, python, tcmalloc
from ._limit import Clock, Limiter, Load, Reading
from ._objects import Library, loaded
from ._stats import LIBRARY, MALLOC, PYTHON, AllocatorStats, Answer

INTERVAL = 60.0  # seconds between two questions to an allocator to which one is expensive
_LONG = 1.0  # seconds that such a question is expected to take, the first time
_SEARCH = 60.0  # and between two searches for what has been loaded since
_FINDERS = (jemalloc.find, tcmalloc.find, mimalloc.find, glibc.find, musl.find)
_WRAPPERS = ("heaptide_mark",)  # a function of those that record, and call the next malloc
# Every allocator has the second; a recorder answers for the first whoever is asked for it.
_MALLOC = ("malloc", "malloc_usable_size")
ASKING = ("calm", "always", "never")


class Allocator(Protocol):
    """What each module here makes of a library."""

    @property
    def name(self) -> str: ...
    @property
    def costly(self) -> bool: ...
    @property
    def walks(self) -> bool: ...
    @property
    def version(self) -> Optional[str]: ...  # noqa: UP045 (evaluated by 3.9)
    @property
    def file(self) -> str: ...
    @property
    def prefix(self) -> str: ...
    def ask(self, arenas: bool) -> Answer: ...


class _Unknown:
    """An allocator that none of the modules here knows."""

    name, prefix, costly, walks, version = "unknown", "", False, False, None

    def __init__(self, file: str) -> None:
        self.file = file

    def ask(self, arenas: bool) -> Answer:
        name = PurePath(self.file).name
        return Answer(reason=f"malloc is that of {name}, which heaptide cannot ask")


@dataclass(frozen=True)
class Live:
    """An allocator, and what it is to this process: malloc, python, or library."""

    allocator: Allocator
    role: str


def find_live(libraries: Sequence[Library]) -> list[Live]:
    """Those of these libraries that are live: what malloc is, what CPython's objects come from, and
    those that libraries have for themselves.

    malloc is that of the first library which has one, in the order in which names are looked up.
    The C library's is not live where another is.
    """
    owner = _owner(libraries)
    found, others = [], []
    for library in libraries:
        allocator = _find(library)
        if library is owner:
            found.append(Live(allocator or _Unknown(library.path), MALLOC))
        elif allocator is not None and allocator.name not in (glibc.NAME, musl.NAME):
            others.append(Live(allocator, LIBRARY))
    libc = next((one for one in libraries if one.function("open_memstream") is not None), None)
    for library in libraries if libc is not None else ():
        assert libc is not None
        of_python = python.find(library, libc)
        if of_python is not None:
            found.append(Live(of_python, PYTHON))
            break
    return found + others


def _owner(libraries: Sequence[Library]) -> Library | None:
    for library in libraries:
        if _has(library, _MALLOC) and not _has(library, _WRAPPERS):
            return library
    return None


def _has(library: Library, names: Sequence[str]) -> bool:
    return any(library.function(name) is not None for name in names)


def _find(library: Library) -> Allocator | None:
    for find in _FINDERS:
        allocator: Allocator | None = find(library)
        if allocator is not None:
            return allocator
    return None


class Reader(Reading):
    """Asks the allocators of this process again and again, at bounded cost.

    jemalloc, tcmalloc, mimalloc and Python's take a tenth of a millisecond. glibc walks its lists
    of free chunks under its locks: it is asked once a minute at most, and not while the process
    keeps more than half of a processor busy. No allocator gets more than a thousandth of the time.
    A reader may be used by several threads, and goes on in a forked child.
    """

    def __init__(
        self,
        *,
        arenas: bool = False,
        asking: str = "calm",
        interval: float = INTERVAL,
        patience: float | None = None,
        libraries: Callable[[], Sequence[Library]] = loaded,
        clock: Clock | None = None,
    ) -> None:
        """``arenas``: tell those as well. ``asking`` expensive ones: ``calm``, as above; ``never``;
        ``always``: all of them whenever they are read, whatever that costs. ``patience``: seconds
        that who reads may wait for one; where it took longer the last time, a thread asks it, and
        there is what it told before; those that walk through all that they hold are then asked once
        in ``interval`` seconds at most. None: however long it takes.

        Raises UsageError: ``asking`` is none of these.
        """
        if asking not in ASKING:
            raise UsageError(f"asking={asking!r} is none of {', '.join(ASKING)}")
        self._arenas, self._asking, self._interval = arenas, asking, interval
        self._patience = patience
        self._libraries = libraries
        self._clock = clock or Clock()
        super().__init__()

    def _begin(self) -> None:
        self._lock = threading.RLock()  # a handler of signals may read in between
        self._load = Load(self._clock)
        self._search: Limiter[list[Live]] = Limiter(
            lambda: find_live(self._libraries()),
            interval=_SEARCH,
            patience=self._patience,
            clock=self._clock,
        )
        self._limiters: dict[tuple[str, ...], Limiter[Answer]] = {}
        self._last: list[AllocatorStats] = []
        self._read_at, self._due = 0.0, float("-inf")  # what was read last, and until when it holds

    def read(self, *, fresh: bool = False) -> list[AllocatorStats]:
        """malloc's first, then Python's, then those of libraries. Each has the ``age`` of what it
        told; figures that are None with a ``reason`` could not be had. ``fresh``: all are asked
        now, but for expensive ones with ``asking="never"``."""
        fresh = fresh or self._asking == "always"
        with self._lock:
            self._load.busy()  # it measures from one question to the next
            now = self._clock.now()
            if now >= self._due or fresh:
                live = self._search.get(fresh=fresh).value or []
                self._last = [self._ask(one, fresh) for one in live]
                self._read_at = self._clock.now()
                dues = [self._search.due, *(one.due for one in self._limiters.values())]
                self._due = min(dues)
                return list(self._last)
            passed = now - self._read_at
            return [one if self._is_left(one) else _older(one, passed) for one in self._last]

    def _is_left(self, one: Allocator | AllocatorStats) -> bool:
        return one.costly and self._asking == "never"

    def _ask(self, live: Live, fresh: bool) -> AllocatorStats:
        one = live.allocator
        known: dict[str, Any] = {
            "name": one.name,
            "role": live.role,
            "version": one.version,
            "file": one.file,
            "prefix": one.prefix,
        }
        if self._is_left(one):
            return AllocatorStats(
                **known, costly=True, reason="not asked: it is expensive, and asking='never'"
            )
        told = self._limiter(live).get(fresh=fresh)
        answer = told.value or Answer(reason=told.reason)
        return AllocatorStats(**vars(answer), **known, age=told.age, costly=one.costly)

    def _limiter(self, live: Live) -> Limiter[Answer]:
        one = live.allocator
        key = (one.name, one.file, one.prefix)
        rarely = one.costly or (one.walks and self._patience is not None)
        if key not in self._limiters:
            self._limiters[key] = Limiter(
                lambda: one.ask(self._arenas),
                interval=self._interval if rarely else 0.0,
                busy=self._load.busy if one.costly else None,
                patience=self._patience,
                took=_LONG if one.costly else 0.0,
                clock=self._clock,
            )
        return self._limiters[key]


def _older(one: AllocatorStats, seconds: float) -> AllocatorStats:
    """Made as any, it would be ten times as expensive."""
    stats = object.__new__(AllocatorStats)
    vars(stats).update(vars(one), age=one.age + seconds)
    return stats


_readers: dict[tuple[bool, str], Reader] = {}


def read(*, arenas: bool = False, asking: str = "calm") -> list[AllocatorStats]:
    """What each allocator that is live in this process tells, as ``Reader.read`` has it, with one
    reader for all calls. Raises UsageError as `Reader`."""
    key = (arenas, asking)
    if key not in _readers:
        _readers[key] = Reader(arenas=arenas, asking=asking)
    return _readers[key].read()
