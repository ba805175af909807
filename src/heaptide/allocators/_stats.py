"""What is told of an allocator."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Optional

Bytes = Optional[int]
"""None: it cannot tell. Never 0 for that."""

MALLOC, PYTHON, LIBRARY = "malloc", "python", "library"
"""What an allocator is to the process: what ``malloc`` is, what CPython's objects come from, or one
that some library has for itself."""


@dataclass(frozen=True)
class Figures:
    """Bytes. docs/monitoring.md defines each, and says what an allocator means by it."""

    allocated: Bytes = None  # in blocks that have not been freed
    active: Bytes = None  # in pages with at least one such block
    resident: Bytes = None  # in physical memory, by the allocator's own count
    mapped: Bytes = None  # of addresses in use, without retained
    retained: Bytes = None  # of addresses kept whose pages the system has back
    metadata: Bytes = None  # its own books
    free: Bytes = None  # freed, and held all the same: not given back to the system

    @property
    def fragmentation(self) -> float | None:
        """What part is free of what is allocated or free: from 0 to 1."""
        if self.allocated is None or self.free is None:
            return None
        held = self.allocated + self.free
        return self.free / held if held else 0.0

    @property
    def told(self) -> bool:
        """Whether there is any figure."""
        return any(getattr(self, one.name) is not None for one in fields(Figures))


@dataclass(frozen=True)
class ArenaStats(Figures):
    """A part of the heap with a lock of its own."""

    index: int = 0


@dataclass(frozen=True)
class Answer(Figures):
    """What an allocator answers when it is asked."""

    blocks: int | None = None  # that have not been freed
    arenas: tuple[ArenaStats, ...] = ()  # those in use, if they were asked for and it has them
    reason: str = ""  # why figures are absent; empty: it tells all that it can


@dataclass(frozen=True)
class AllocatorStats(Answer):
    """An allocator that is live in this process, and what it told ``age`` seconds ago."""

    name: str = ""  # glibc, musl, jemalloc, tcmalloc, mimalloc, pymalloc, cpython-mimalloc, unknown
    role: str = MALLOC  # malloc, python, library
    version: str | None = None
    file: str = ""  # the program or library that it is in
    prefix: str = ""  # of its functions' names: je_ for je_mallctl
    age: float = 0.0  # seconds since it was asked
    costly: bool = False  # asking takes so long that it is not done often, or under load
